"""How fast fastnn is: kernels alone (test_kernels.py), whole networks beside other libraries (peers.py)."""
