def inspect(b): pass
