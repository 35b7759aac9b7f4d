"""The measured kernels in their own units, after pytest-benchmark's tables."""


def pytest_terminal_summary(terminalreporter):
    from .test_kernels import RESULTS
    if not RESULTS:
        return
    write = terminalreporter.write_line
    terminalreporter.section("kernels, one thread")
    write(f"{'op':<36}{'size':>14} {'dtype':<9}{'on':<9}{'us':>10}{'ns/element':>12}{'GFLOP/s':>9}{'GB/s':>8}"
          f"{'to numpy':>10}")
    numpy = {(r["op"], r["size"], r["dtype"]): r["us"] for r in RESULTS if r["where"] == "numpy"}
    for r in sorted(RESULTS, key=lambda r: (r["op"], r["size"], r["dtype"])):
        reference = numpy.get((r["op"], r["size"], r["dtype"]))
        ratio = f"{reference / r['us']:.1f}x" if reference else "-"
        size = "x".join(map(str, r["size"]))
        write(f"{r['op']:<36}{size:>14} {r['dtype']:<9}{r['where']:<9}{r['us']:>10.3f}"
              f"{r['ns_per_element']:>12.3f}{r['gflops']:>9.2f}{r['gbytes_per_second']:>8.2f}{ratio:>10}")
