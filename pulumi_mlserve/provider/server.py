"""Serves the engine's resource protocol: our own resources by handlers, components by construction.

Decides how requests reach handlers, and on which threads. What the values mean is ``values``, how outcomes are told is
``outcomes``; what a resource does is its handler. The protocol is ``proto/pulumi/provider.proto`` of pulumi/pulumi.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.provider import Provider
from pulumi.provider.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2

from pulumi_mlserve.clients.models.object_json import StoreUnreachableError
from pulumi_mlserve.core.declarations import RESOURCES, Declaration
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.core.shapes import from_wire, hides, secret_parts, shape_of, to_wire
from pulumi_mlserve.provider.call import Call, Checked, Found, Handler, PartialFailure
from pulumi_mlserve.provider.differences import shown_differences
from pulumi_mlserve.provider.engine import Engine
from pulumi_mlserve.provider.failures import check_failures, masked, wire_path
from pulumi_mlserve.provider.outcomes import outputs_of, partial_status
from pulumi_mlserve.provider.stack_settings import SETTINGS, settings_problems, signed_settings
from pulumi_mlserve.provider.values import Values, decode, encode, has_unknown, is_unknown

THREADS: Final = 32
T = TypeVar("T")


class Servicer(ProviderServicer):
    """One plugin process: components by the SDK's servicer, our resources by a table of handlers."""

    def __init__(
        self, provider: Provider, handlers: Mapping[str, tuple[Declaration, Callable[[], Handler]]], address: str
    ) -> None:
        super().__init__(provider, [], address)
        self._handlers = handlers
        self._made: dict[str, Handler] = {}
        self._making = threading.Lock()
        # The SDK blocks asyncio's default pool while components register their children: handlers need their own.
        self._pool = ThreadPoolExecutor(THREADS, "handler")
        self._settings: dict[str, str] = {}
        self._engine = Engine(address)

    def cancel_all(self) -> asyncio.Future[None]:
        """Ask all work in progress to stop, of which nobody hears any more, and return what is done when it has."""
        self._engine.leave()
        return asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)

    # The provider as a whole

    async def Attach(self, request: Any, context: Any) -> Any:
        self.engine_address = request.address
        self._engine.connect(request.address)
        return empty_pb2.Empty()

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        news = decode(request.news)
        signed = signed_settings(news.plain)
        quiet = news.secrets | signed  # the command line prints the value at a failure's path
        return provider_pb2.CheckResponse(
            inputs=encode(news.plain, quiet) if signed else request.news,
            failures=[
                provider_pb2.CheckFailure(property="" if wrong.top in quiet else wrong.path, reason=wrong.message)
                for wrong in settings_problems(news.plain, request.urn)
            ],
        )

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        # Called unchanged, the engine would go on with a provider of the store that the program no longer names.
        known = [decode(settings).plain for settings in (request.old_inputs, request.news)]
        before, after = ([settings.get(name) for name in SETTINGS] for settings in known)
        kinds = provider_pb2.DiffResponse
        return kinds(changes=kinds.DIFF_NONE if before == after else kinds.DIFF_SOME)

    async def Configure(self, request: Any, context: Any) -> Any:
        given = decode(request.args).plain
        self._settings = {name: str(value) for name, value in given.items() if not is_unknown(value)}
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, acceptResources=True, acceptOutputs=True, supportsPreview=True
        )

    async def Cancel(self, request: Any, context: Any) -> Any:
        self._engine.stop.set()
        return empty_pb2.Empty()

    # Our functions

    async def Invoke(self, request: Any, context: Any) -> Any:
        from pulumi_mlserve.provider.functions import ANSWERS  # noqa: PLC0415  most stacks ask for nothing

        if request.tok not in ANSWERS:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no function {request.tok!r} in this package")
        declaration, answer = ANSWERS[request.tok]
        inputs, outputs = shape_of(declaration.inputs), shape_of(declaration.outputs)
        given = decode(request.args)
        asked, problems = from_wire(given.plain, inputs, opaque=is_unknown)
        if problems:
            return provider_pb2.InvokeResponse(failures=check_failures(problems, given, inputs))
        if has_unknown(asked):
            return provider_pb2.InvokeResponse()  # the engine takes no answer with unknown values
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._pool, answer, asked, self._settings)
        except InvalidInputError as refused:
            return provider_pb2.InvokeResponse(failures=check_failures(refused.problems, given, inputs))
        except StoreUnreachableError as failure:
            if request.preview:
                say = self._engine.voice_of("", [])
                say(f"{declaration.name} of {asked['name']} is not known now: {failure}", "warning")
                return provider_pb2.InvokeResponse()
            await context.abort(grpc.StatusCode.UNKNOWN, str(failure))
        except OperationError as failure:
            await context.abort(grpc.StatusCode.UNKNOWN, str(failure))
        return provider_pb2.InvokeResponse(**{"return": encode(to_wire(found, outputs))})

    # Our own resources

    async def Check(self, request: Any, context: Any) -> Any:
        declaration, handler = self._handler(request.urn)
        shape = shape_of(declaration.inputs)
        news, olds = decode(request.news), decode(request.olds)
        inputs, problems = from_wire(
            {key: value for key, value in news.plain.items() if key != "__defaults"}, shape, opaque=is_unknown
        )
        # Retyped values would only repeat the same complaint in other words.
        call = dataclasses.replace(self._asked(request, news=news, olds=olds, of=declaration), news=inputs)
        # A secret is one in messages, in the state and in every preview, however the program came by it.
        declared = frozenset(shape.by_name[name].wire for name in inputs if hides(shape.by_name[name], inputs[name]))
        news = dataclasses.replace(news, secrets=news.secrets | (declared & news.plain.keys()))
        checked = await self._run(context, _checker(handler, problems), call)
        if checked.problems:
            return provider_pb2.CheckResponse(failures=check_failures(checked.problems, news, shape))
        return provider_pb2.CheckResponse(inputs=encode(to_wire(checked.inputs, shape), news.secrets))

    async def Diff(self, request: Any, context: Any) -> Any:
        declaration, handler = self._handler(request.urn)
        shape = shape_of(declaration.inputs)
        call = self._asked(
            request, news=decode(request.news), olds=decode(request.old_inputs), state=request.olds, of=declaration
        )
        drift = await self._run(context, handler.drift, call)
        wire = {name: shape.by_name[name].wire for name in handler.compared}
        remembered, seen, wanted = (to_wire(of, shape) for of in (call.olds, {**call.olds, **drift}, call.news))
        ignored = set(request.ignoreChanges)
        found = [
            difference
            for difference in shown_differences(remembered, seen, wanted, wire.values())
            if difference.path not in ignored and difference.top not in ignored
        ]
        replaced = {wire[name] for name in handler.replaced}
        kinds = provider_pb2.PropertyDiff
        detailed = {
            difference.path: kinds(
                # In the protocol each kind's replacing twin is the next number.
                kind=kinds.Kind.Value(difference.kind.upper()) + (difference.top in replaced),
                inputDiff=True,
            )
            for difference in found
        }
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted({difference.top for difference in found}),
            replaces=sorted({difference.top for difference in found} & replaced),
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=any(difference.top in replaced for difference in found) and handler.deletes_first(call),
        )

    async def Create(self, request: Any, context: Any) -> Any:
        declaration, handler = self._handler(request.urn)
        call = self._asked(request, news=decode(request.properties), of=declaration)
        resource_id, state = await self._run(context, handler.create, call, declaration)
        return provider_pb2.CreateResponse(
            id="" if request.preview else resource_id, properties=outputs_of(state, declaration, call)
        )

    async def Update(self, request: Any, context: Any) -> Any:
        declaration, handler = self._handler(request.urn)
        call = self._asked(
            request, news=decode(request.news), olds=decode(request.old_inputs), state=request.olds, of=declaration
        )
        state = await self._run(context, handler.update, call, declaration)
        return provider_pb2.UpdateResponse(properties=outputs_of(state, declaration, call))

    async def Read(self, request: Any, context: Any) -> Any:
        declaration, handler = self._handler(request.urn)
        call = self._asked(
            request, news=decode(request.inputs), olds=decode(request.inputs), state=request.properties, of=declaration
        )
        found = await self._run(context, reader(handler, declaration), call, declaration)
        if not found.id:
            return provider_pb2.ReadResponse()
        secrets = decode(request.inputs).secrets
        inputs = encode(to_wire(found.inputs, shape_of(declaration.inputs)), secrets)
        return provider_pb2.ReadResponse(
            id=found.id, properties=outputs_of(found.state, declaration, call), inputs=inputs
        )

    async def Delete(self, request: Any, context: Any) -> Any:
        declaration, handler = self._handler(request.urn)
        call = self._asked(request, olds=decode(request.old_inputs), state=request.properties, of=declaration)
        await self._run(context, handler.delete, call)
        return empty_pb2.Empty()

    # Below: how a request becomes a call, and reaches its handler

    def _handler(self, urn: str) -> tuple[Declaration, Handler]:
        # A parented resource's type is written Parent$Child.
        kind = urn.split("::")[2].rpartition("$")[2]
        declaration, make = self._handlers[kind]
        with self._making:
            if kind not in self._made:
                self._made[kind] = make()
        return declaration, self._made[kind]

    def _asked(
        self,
        request: Any,
        *,
        of: Declaration,
        news: Values | None = None,
        olds: Values | None = None,
        state: struct_pb2.Struct | None = None,
    ) -> Call:
        news, olds = news or Values(), olds or Values()
        given, before = _python(news.plain, of.inputs), _python(olds.plain, of.inputs)
        secrets = _named(news.secrets | olds.secrets, of.inputs)
        fields = shape_of(of.inputs).by_name
        hidden = [secret_parts(fields.get(name), values.get(name)) for name in secrets for values in (given, before)]
        return Call(
            urn=request.urn,
            id=getattr(request, "id", ""),
            preview=bool(getattr(request, "preview", False)),
            timeout=float(getattr(request, "timeout", 0.0)),
            news=given,
            olds=before,
            state=_python(decode(state).plain, of.outputs),
            secrets=secrets,
            hidden=tuple(hidden),
            settings=self._settings,
            stop=self._engine.stop,
            heard=self._engine.is_heard,
            say=self._engine.voice_of(request.urn, hidden),
        )

    async def _run(
        self, context: Any, work: Callable[[Call], T], call: Call, declaration: Declaration | None = None
    ) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, call)
        except PartialFailure as failure:
            if declaration is None:
                raise
            await context.abort_with_status(partial_status(failure, declaration, call))
        except InvalidInputError as failure:
            shape = shape_of(self._handler(call.urn)[0].inputs)
            lines = [str(Problem(wire_path(p.path, shape), p.message)) for p in failure.problems]
            await context.abort(grpc.StatusCode.UNKNOWN, masked("\n".join(lines), call.hidden))
        except OperationError as failure:
            await context.abort(grpc.StatusCode.UNKNOWN, masked(str(failure), call.hidden))
        except Exception:  # noqa: BLE001  a mistake of ours must not look like one of the user's
            text = f"this is a mistake in pulumi-mlserve, please report it:\n{traceback.format_exc()}"
            await context.abort(grpc.StatusCode.INTERNAL, masked(text, call.hidden))
        raise AssertionError("abort raises")


def _checker(handler: Handler, problems: list[Problem]) -> Callable[[Call], Checked]:
    def check(call: Call) -> Checked:
        wrong = {problem.top for problem in problems}
        fitting = {name: value for name, value in call.news.items() if name not in wrong}
        try:
            checked = handler.check(dataclasses.replace(call, news=fitting))
        except InvalidInputError as invalid:
            checked = Checked({}, invalid.problems)
        more = [p for p in checked.problems if p.top not in wrong]
        return Checked(checked.inputs, [*problems, *more])

    return check


def reader(handler: Handler, declaration: Declaration) -> Callable[[Call], Found]:
    """Return what looks a resource up, and refuses one that is known by nothing but an id unless that is enough."""

    def read(call: Call) -> Found:
        if not call.news and not call.state and not declaration.imported_by:
            others = " or ".join(f"a {d.name}, by {d.imported_by}" for d in RESOURCES if d.imported_by)
            raise OperationError(
                f"{_a(declaration.name)} cannot be imported, as nobody can read back what it was made from; declare it "
                f"in the program and run pulumi up, which takes over what is there; what can be imported is {others}"
            )
        return handler.read(call)

    return read


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def _python(wire: Mapping[str, Any], declaration: type) -> dict[str, Any]:
    values, _ = from_wire(wire, shape_of(declaration), opaque=is_unknown)
    return values


def _named(wire: frozenset[str], declaration: type) -> frozenset[str]:
    by_wire = shape_of(declaration).by_wire
    return frozenset(by_wire[name].name for name in wire if name in by_wire)
