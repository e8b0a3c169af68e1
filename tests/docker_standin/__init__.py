"""A stand-in for the plugin `docker`, for images alone: it checks as strictly as the SDK's types and builds for real.

`plugin` speaks the engine's protocol and drives the Docker daemon of `DOCKER_HOST`; `kit` puts it where an engine finds
it. As the real one: the Dockerfile must exist when the image is checked, what lies in its folder decides on a rebuild,
nothing is built in a preview, and what was pushed stays when the resource goes.
"""
