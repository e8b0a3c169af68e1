"""Puts the parts of a service together: which routes it has, who may ask, who is told of replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlserve_scoring.routes.cross_origin import CrossOrigin
from mlserve_scoring.routes.dispatch import Dispatcher, Gate, Observer
from mlserve_scoring.routes.docs_page import docs_routes
from mlserve_scoring.routes.documents import document_routes, own_documents
from mlserve_scoring.routes.express_score import express_routes
from mlserve_scoring.routes.health import health_routes
from mlserve_scoring.routes.manner import OURS
from mlserve_scoring.routes.open_inference import inference, open_inference_routes, served_model
from mlserve_scoring.routes.openapi import Described, form_of
from mlserve_scoring.routes.score import score_routes
from mlserve_scoring.scorers.scorer import SharesRuns
from mlserve_scoring.v1_variables import title_of, version_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlserve_scoring.collection.collector import Collector
    from mlserve_scoring.contract import Contract
    from mlserve_scoring.manifest import Manifest
    from mlserve_scoring.observing.observation import Observation
    from mlserve_scoring.routes.route import Routes
    from mlserve_scoring.scorers.scorer import Scorer
    from mlserve_scoring.settings import Settings
    from mlserve_scoring.transport.message import Reply


class Assembled(NamedTuple):
    """What answers the requests of a service.

    Attributes:
        http: Those over HTTP.
        grpc: Those over gRPC; ``None`` where it is not spoken.
    """

    http: Dispatcher
    grpc: Dispatcher | None


def assemble(  # noqa: PLR0913  # all it decides by, in one place
    settings: Settings,
    scorer: Scorer,
    contract: Contract,
    *,
    manifest: Manifest,
    app_root: Path,
    state: Callable[[], str],
    gate: Gate | None,
    observation: Observation | None = None,
    collector: Collector | None = None,
) -> Assembled:
    """Return what answers the requests of a service.

    Args:
        settings: Which parts there are.
        scorer: Answers.
        contract: What the documents describe.
        manifest: Names the models.
        app_root: Where the user's own documents may lie.
        state: Returns ``ready``, or why the service is not.
        gate: Who may ask; ``None`` lets everybody in.
        observation: Observes; ``None`` observes nothing.
        collector: Keeps requests and answers; ``None`` keeps nothing.
    """
    health_is_open = settings.health == "open"
    model = served_model(scorer, contract, manifest, settings.service)
    variables = {**manifest.variables, **settings.variables}
    described = Described(
        title_of(variables, settings.service),
        version_of(variables),
        settings.revision,
        settings.path_prefix,
        form_of(contract, is_raw=scorer.takes_options),
        model,
        is_guarded=gate is not None,
        has_tokens=settings.entra is not None,
        health_is_open=health_is_open,
        metrics=settings.metrics,
        docs=settings.docs,
    )
    manner = OURS
    if settings.strict_v1:
        from mlserve_scoring.routes.v1_replies import manner_of  # noqa: PLC0415  # most services answer in our manner

        manner = manner_of(scorer.contract)
    infer = inference(model, scorer, contract, manner.failed)
    routes: Routes = {
        **health_routes(state, is_open=health_is_open),
        **document_routes(contract, described, own=own_documents(app_root), as_v1=manner.document),
        **score_routes(scorer, manner.failed),
        **open_inference_routes(model, infer, state=state, health_is_open=health_is_open),
    }
    if settings.docs:
        routes = {**routes, **docs_routes()}
    routes = manner.worded(routes)
    calls: Routes = {}
    unknown_call: Callable[[str], Reply] | None = None
    if settings.speaks_grpc:
        from mlserve_scoring.grpc.calls import grpc_routes, unknown_call  # noqa: PLC0415  # a feature of the image

        calls = grpc_routes(model, infer, state=state, health_is_open=health_is_open)
    observers: list[Observer] = []
    if observation is not None:
        routes = {**routes, **observation.routes()}
        observers += observation.observers([*routes, *calls])
        if isinstance(scorer, SharesRuns) and observation.requests is not None:
            scorer.tell_shared_runs(observation.requests.shared_run)
    if collector is not None and observation is not None:
        observation.tell_data([f"{model.name}:{model.version}" for model in manifest.models])
    if collector is not None and settings.collection is not None and settings.collection.automatic:
        from mlserve_scoring.collection import automatic  # noqa: PLC0415  # most services collect nothing

        collector.form.use(contract)
        observers.append(automatic.observer(collector))
    tally = None if observation is None else observation.requests
    is_looked_at = bool(settings.cors_origins) or observers != ([] if tally is None else [tally.observe])
    http = Dispatcher(
        routes,
        gate=gate,
        prefix=settings.path_prefix,
        cross_origin=CrossOrigin(settings.cors_origins) if settings.cors_origins else None,
        observers=observers,
        missing=manner.missing,
        express={} if is_looked_at else express_routes(scorer, routes, gate=gate, tally=tally, failed=manner.failed),
    )
    grpc = Dispatcher(calls, gate=gate, observers=observers, missing=unknown_call) if settings.speaks_grpc else None
    return Assembled(http, grpc)
