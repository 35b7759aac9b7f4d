"""How fast fastnn is: kernels by themselves (test_kernels.py), whole networks beside other libraries (peers.py)."""
