"""Damaged and hostile files, made of good ones."""
import copy
import json
import struct

from fastnn.io import records

HOSTILE = [None, True, False, 0, -1, 1, 2, 3, 1.5, -0.0, float("nan"), float("inf"), 1e308, 1 << 31, 1 << 63,
           1 << 200, "", "x", "os.system", "Dense", "relu", "adam", "dict", "array", "\ud800", "a" * 1000, [],
           [[]], {}, [0], [-1], {"name": "l2"}, {"is": "dict", "value": []},
           {"is": "array", "value": "model/dense.bias"}]


# ---- damaged bytes ----


def damage(content, rng):
    """The bytes with one to four changes."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        n = len(content)
        at, other = (int(i) for i in rng.integers(0, n + 1, 2))
        length = int(min(rng.integers(1, 64), n - at)) if rng.random() < 0.8 else n - at
        way = rng.integers(0, 9)
        if way <= 1 and at < n:
            content[at] ^= 1 << rng.integers(0, 8)
        elif way == 2 and at < n:
            content[at] = rng.integers(0, 256)
        elif way == 3:
            content[at:at + length] = rng.bytes(length)
        elif way == 4:
            del content[at:at + length]
        elif way == 5:
            content[other:other] = content[at:at + length]
        elif way == 6:
            content[at:at] = rng.bytes(int(rng.integers(1, 64)))
        elif way == 7:
            content[other:other + length] = content[at:at + length]
        elif n >= 8:
            at = min(at, n - 8)
            number = int(rng.choice([0, 1, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, 1 << 62]))
            content[at:at + 8] = struct.pack("<Q" if rng.random() < 0.5 else ">Q", number)
        if not content:
            break
    return bytes(content)


# ---- hostile descriptions ----


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def change(value, rng):
    """A JSON value with something in it replaced, removed, renamed or put elsewhere."""
    value = copy.deepcopy(value)
    for _ in range(rng.integers(1, 3)):
        all_places = list(places(value))[1:]
        if not all_places:
            return value
        path, other = (all_places[rng.integers(len(all_places))] for _ in range(2))
        holder, found = value, value
        for key in path[:-1]:
            holder = holder[key]
        for key in other:
            found = found[key]
        way, old = rng.integers(0, 6), holder[path[-1]]
        if way <= 1:
            holder[path[-1]] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
        elif way == 2:
            del holder[path[-1]]
        elif way == 3:
            holder[path[-1]] = copy.deepcopy(found)
        elif way == 4 and isinstance(old, (int, float)) and not isinstance(old, bool):
            holder[path[-1]] = old + (1, -1, 0.5, 1 << 32)[rng.integers(4)] if rng.random() < 0.5 else -old
        elif isinstance(holder, list):
            holder.insert(path[-1], copy.deepcopy(found))
        else:
            holder[f"{path[-1]}x"] = holder.pop(path[-1])
    return value


def hostile(content, rng):
    """A sealed file with something changed in its header or its description, sealed again."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    description = json.loads(header.pop("__metadata__")["fastnn"])
    checksums = description.pop("checksums")
    if rng.random() < 0.9:
        description = change(description, rng)
    else:
        header = change(header, rng)
        checksums["arrays"] = {name: checksums["arrays"].get(name, 0) for name in header}
    checksums["header"] = records.NO_SUM
    metadata = {"fastnn": json.dumps({"checksums": checksums, **description})}
    text = json.dumps({"__metadata__": metadata, **header}).encode()
    return records.seal(struct.pack("<Q", len(text)) + text) + content[end:]


def hostile_onnx(content, rng):
    """An ONNX file with something changed in a node, a constant or an input's shape."""
    import onnx
    proto = onnx.ModelProto.FromString(content)
    graph = proto.graph
    bodies = [attribute.g for node in graph.node for attribute in node.attribute if attribute.name == "body"]
    if bodies and rng.random() < 0.5:
        graph = bodies[rng.integers(len(bodies))]
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    for _ in range(rng.integers(1, 4)):
        way, node = rng.integers(0, 7), graph.node[rng.integers(len(graph.node))]
        if way == 0 and node.input:
            node.input[rng.integers(len(node.input))] = names[rng.integers(len(names))]
        elif way == 1:
            node.op_type = graph.node[rng.integers(len(graph.node))].op_type
        elif way == 2 and node.attribute:
            attribute = node.attribute[rng.integers(len(node.attribute))]
            if attribute.ints:
                attribute.ints[rng.integers(len(attribute.ints))] = int(rng.integers(-2, 4))
            elif attribute.type == onnx.AttributeProto.FLOAT:
                attribute.f = float(rng.choice([0.0, 0.5, -1.0, 2.0]))
            else:
                attribute.i = int(rng.integers(-2, 4))
        elif way == 3:
            del graph.node[int(rng.integers(len(graph.node)))]
        elif way == 4 and graph.initializer:
            array = graph.initializer[rng.integers(len(graph.initializer))]
            other = graph.initializer[rng.integers(len(graph.initializer))]
            array.raw_data, array.data_type = other.raw_data, other.data_type
            array.dims[:] = other.dims if rng.random() < 0.5 else other.dims[::-1]
        elif way == 5 and graph.input[0].type.tensor_type.shape.dim:
            axes = graph.input[0].type.tensor_type.shape.dim
            axes[int(rng.integers(len(axes)))].dim_value = int(rng.integers(0, 6))
        elif node.input:
            del node.input[int(rng.integers(len(node.input)))]
        if not graph.node:
            break
    return proto.SerializeToString()
