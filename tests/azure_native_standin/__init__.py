"""A stand-in for the plugin `azure-native`, stricter than the real one: what it takes, Azure's control plane takes too.

`bodies` says what is wrong with a resource's inputs, from the SDK's own input types. `cloud` keeps what was made, in a
folder that tests read and change, with ids as ARM makes them. `plugin` speaks the engine's protocol. `kit` puts the
plugin where an engine finds it. A kind of resource that is not in `cloud.PATHS` is refused: add it there when needed.
"""
