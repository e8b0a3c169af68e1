"""Users' entry scripts with init() and run(), by Azure ML v1's rules."""
