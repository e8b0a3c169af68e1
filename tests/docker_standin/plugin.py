"""The plugin's process: `python -m docker_standin.plugin ENGINE`."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pulumi_docker
from azure_native_standin import bodies
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

_IMAGE = "docker:index/image:Image"
_QUALIFIED = re.compile(r"[^/\s]*[.:][^/\s]*/[a-z0-9._/-]+(?::[\w][\w.-]{0,127})?")


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Checks, builds and pushes images."""

    def GetPluginInfo(self, request, context):  # noqa: N802 -- the protocol names them
        """Return a version."""
        return plugin_pb2.PluginInfo(version="5.2.0")

    def CheckConfig(self, request, context):  # noqa: N802
        """Take every configuration."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):  # noqa: N802
        """Nothing of it matters."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):  # noqa: N802
        """Say that a preview gives no outputs."""
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=False, acceptResources=False)

    def Check(self, request, context):  # noqa: N802
        """Refuse what the SDK's types would not take and what cannot be built; note what lies in the folder."""
        token, inputs = request.urn.split("::")[2].rpartition("$")[2], json_format.MessageToDict(request.news)
        given = bodies.plain({name: value for name, value in inputs.items() if name != "__defaults"})
        found = [*bodies.problems_by(pulumi_docker.ImageArgs, given)] if token == _IMAGE else [("", f"no {token} here")]
        build = given.get("build") or {}
        if not found and bodies.UNKNOWN not in {given["imageName"], build.get("context"), build.get("dockerfile")}:
            if not Path(build["dockerfile"]).is_file():
                found.append(("build", f"could not open dockerfile at relative path {build['dockerfile']}"))
            elif not _QUALIFIED.fullmatch(given["imageName"]):
                found.append(("imageName", f"must be fully qualified, got {given['imageName']}"))
            else:
                inputs["build"]["contextDigest"] = _digest(Path(build["context"]))
        failures = [provider_pb2.CheckFailure(property=path, reason=why) for path, why in found]
        return provider_pb2.CheckResponse(inputs=_struct(inputs), failures=failures)

    def Diff(self, request, context):  # noqa: N802
        """Build anew where anything changed."""
        olds, news = (json_format.MessageToDict(struct) for struct in (request.old_inputs, request.news))
        changed = sorted(name for name in {*olds, *news} - {"__defaults"} if olds.get(name) != news.get(name))
        kinds = provider_pb2.DiffResponse
        return kinds(changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE, diffs=changed)

    def Create(self, request, context):  # noqa: N802
        """Build and push it."""
        outputs = _built(json_format.MessageToDict(request.properties), context)
        return provider_pb2.CreateResponse(id=outputs["imageName"], properties=_struct(outputs))

    def Update(self, request, context):  # noqa: N802
        """Build and push it again."""
        return provider_pb2.UpdateResponse(properties=_struct(_built(json_format.MessageToDict(request.news), context)))

    def Read(self, request, context):  # noqa: N802
        """Return what is remembered: nothing is looked at."""
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def Delete(self, request, context):  # noqa: N802
        """Leave what was pushed."""
        return empty_pb2.Empty()

    def Cancel(self, request, context):  # noqa: N802
        """Go on."""
        return empty_pb2.Empty()


def main():
    """Serve until the engine ends the process."""
    server = grpc.server(ThreadPoolExecutor(4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


def _built(inputs, context):
    name, build = inputs["imageName"], inputs["build"]
    platform = ["--platform", build["platform"]] if "platform" in build else []
    _docker(context, "build", *platform, "--tag", name, "--file", build["dockerfile"], build["context"])
    _docker(context, "push", name)
    digests = json.loads(_docker(context, "image", "inspect", name))[0]["RepoDigests"]
    repository = name.rpartition(":")[0]
    found = next(digest for digest in digests if digest.startswith(f"{repository}@"))
    places = {"dockerfile": build["dockerfile"], "context": build["context"], "registryServer": name.partition("/")[0]}
    return {**inputs, **places, "imageName": name, "baseImageName": name, "repoDigest": found}


def _docker(context, *arguments):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        context.abort(grpc.StatusCode.UNKNOWN, (done.stderr or done.stdout)[-2000:])
    return done.stdout


def _digest(folder):
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            found.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return found.hexdigest()


def _struct(values):
    struct = struct_pb2.Struct()
    json_format.ParseDict(values, struct)
    return struct


if __name__ == "__main__":
    main()
