"""The plugin's process: `python -m azure_native_standin.plugin FOLDER ENGINE`; what it made lies in the folder."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from azure_native_standin import bodies
from azure_native_standin.cloud import Cloud, identifying, path_of, refusals
from azure_native_standin.tasks import TaskError, run_task


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Checks, keeps and returns resources."""

    def __init__(self, folder):
        self._cloud = Cloud(folder)

    def GetPluginInfo(self, request, context):  # noqa: N802 -- the protocol names them
        """Return the version of the SDK that it was made for."""
        return plugin_pb2.PluginInfo(version=version("pulumi-azure-native"))

    def CheckConfig(self, request, context):  # noqa: N802
        """Take every configuration."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):  # noqa: N802
        """Nothing of it matters."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):  # noqa: N802
        """Take secrets as such."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=False)

    def Check(self, request, context):  # noqa: N802
        """Refuse what the SDK's types or ARM would not take."""
        token, inputs = _token(request.urn), bodies.plain(_values(request.news))
        inputs.pop("__defaults", None)
        found = [*bodies.problems(token, inputs), *refusals(token, inputs)]
        failures = [
            provider_pb2.CheckFailure(property=path, reason=why) for path, why in found if not _later(inputs, path)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request, context):  # noqa: N802
        """Replace where the id changes, else update."""
        token = _token(request.urn)
        olds, news = (bodies.plain(_values(struct)) for struct in (request.old_inputs, request.news))
        changed = sorted(name for name in {*olds, *news} - {"__defaults"} if olds.get(name) != news.get(name))
        kinds = provider_pb2.DiffResponse
        return kinds(
            changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE,
            diffs=changed,
            replaces=[name for name in changed if name in identifying(token)],
        )

    def Create(self, request, context):  # noqa: N802
        """Make it, unless it is there."""
        token, inputs = _token(request.urn), bodies.plain(_values(request.properties))
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=request.properties)
        resource_id = path_of(token, inputs)
        if self._cloud.get(resource_id) is not None:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"cannot create already existing resource '{resource_id}'")
        made = _made(token, inputs, context)
        self._cloud.put(token, resource_id, inputs)
        return provider_pb2.CreateResponse(
            id=resource_id, properties=_struct({**_values(request.properties), "id": resource_id, **made})
        )

    def Update(self, request, context):  # noqa: N802
        """Change it."""
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        token, inputs = _token(request.urn), bodies.plain(_values(request.news))
        made = _made(token, inputs, context)
        self._cloud.put(token, request.id, inputs)
        return provider_pb2.UpdateResponse(properties=_struct({**_values(request.news), **made}))

    def Read(self, request, context):  # noqa: N802
        """Return it, or nothing."""
        found = self._cloud.get(request.id)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id, properties=_struct(found["inputs"]), inputs=_struct(found["inputs"])
        )

    def Delete(self, request, context):  # noqa: N802
        """Delete it, unless something lies below it: ARM deletes along in some cases, and nobody should count on it."""
        if below := self._cloud.delete(request.id):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{request.id} holds {', '.join(below)}")
        return empty_pb2.Empty()

    def Cancel(self, request, context):  # noqa: N802
        """Go on: nothing takes long here."""
        return empty_pb2.Empty()


def main(folder):
    """Serve until the engine ends the process."""
    server = grpc.server(ThreadPoolExecutor(8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(folder), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


def _made(token, inputs, context):
    """Return what a resource does when it is made or changed."""
    if not token.endswith(":TaskRun"):
        return {}
    try:
        return {"runResult": run_task(inputs["runRequest"])}
    except TaskError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _token(urn):
    return urn.split("::")[2].rpartition("$")[2]


def _values(struct):
    return json_format.MessageToDict(struct)


def _struct(values):
    struct = struct_pb2.Struct()
    json_format.ParseDict(values, struct)
    return struct


def _later(inputs, path):
    """Return whether the value at a path is not known yet."""
    value = inputs
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value == bodies.UNKNOWN


if __name__ == "__main__":
    main(sys.argv[1])
