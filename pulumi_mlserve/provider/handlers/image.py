"""``Image``: dependencies, runtime, code and models become layers in the local image store."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.environments.resolver import Lock, modules
from pulumi_mlserve.clients.images.bytecode import find_compiler
from pulumi_mlserve.clients.images.image_build import ImageContent
from pulumi_mlserve.clients.images.image_records import ImageWords
from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.clients.images.source_date import origin_here
from pulumi_mlserve.clients.images.source_files import SourceTree, scan_source
from pulumi_mlserve.core.environments.wheel_floors import DEFAULT_PYTHON
from pulumi_mlserve.core.images.image import ImageInputs, ImageModel, check_image
from pulumi_mlserve.core.images.layers import LayerPlan, plan_layers
from pulumi_mlserve.core.pickles.library_fit import Libraries
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.core.scripts.entry_script import check_entry_script
from pulumi_mlserve.provider.call import Call, Checked, Found
from pulumi_mlserve.provider.image_changes import (
    say_that_the_lock_is_the_stacks,
    say_what_changes,
    say_what_is_newer,
)
from pulumi_mlserve.provider.image_environment import Environment, has_committed_lock, read_environment
from pulumi_mlserve.provider.image_models import answering_problems, missing_packages
from pulumi_mlserve.provider.image_pickles import importable_names, pickle_problems
from pulumi_mlserve.provider.image_samples import samples_of
from pulumi_mlserve.provider.image_trial import try_image
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown, is_unknown, known
from pulumi_mlserve.provider.workplace import workplace

# What decides on the bytes of an image: while one of them is not known, nothing about the image is.
_DECIDES: Final = (
    "conda_file",
    "entry_script",
    "environment_variables",
    "features",
    "name",
    "python_version",
    "requirements_file",
    "samples",
    "standins",
    "upgrade",
)
_COMPUTED: Final = frozenset({"requirements", "lock", "layers", "recipe", "runtime", "compiler"})


class ImageHandler:
    """Checks and tries an image before anything is touched, then builds what is not built yet."""

    compared = (
        "name",
        "layers",
        "recipe",
        "entry_script",
        "environment_variables",
        "features",
        "samples",
        "trial",
        "tags",
        "properties",
        "description",
    )
    replaced = ("name",)

    def check(self, call: Call) -> Checked:
        """Read everything that goes in, and compute what each layer is made from."""
        given = {name: value for name, value in known(call.news).items() if name not in _COMPUTED}
        given["models"] = [known(model) for model in _models(call) if isinstance(model, Mapping)]
        problems = _spec_problems(given, call)
        if not _here(call):
            kept = {name: call.olds[name] for name in (*_COMPUTED, "samples") if name in call.olds}
            given = {"samples": samples_of(call.news)} if "samples" in call.news else {}
            return Checked({**call.news, **kept, **given}, problems)
        inputs = {**call.news, "samples": samples_of(call.news)}
        environment = None
        unknown_server = has_unknown(_digests(call)) and "entry_script" not in call.news
        if unknown_server or has_unknown([call.news.get(name) for name in _DECIDES]):
            problems += _script_problems(call, None)
        else:
            wrong = {problem.top for problem in problems}
            try:
                environment = read_environment(call, {n: v for n, v in given.items() if n not in wrong})
            except InvalidInputError as invalid:
                problems += invalid.problems
            problems += _script_problems(call, environment)
        if problems or environment is None:
            return Checked(inputs | dict.fromkeys(_COMPUTED, UNKNOWN), problems)
        inputs["requirements"] = environment.requirements
        inputs["lock"] = _text(environment.lock)
        if environment.lock is None or has_unknown([_digests(call), inputs["samples"]]):
            return Checked(inputs | dict.fromkeys(("layers", "recipe", "runtime", "compiler"), UNKNOWN))
        plan = _plan(call, environment, inputs["samples"])
        inputs |= {"runtime": plan.inputs.runtime_digest, "compiler": plan.inputs.compiler or ""}
        inputs["layers"] = {layer.name: layer.key for layer in plan.layers}
        return Checked(inputs | {"recipe": plan.recipe})

    def drift(self, call: Call) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: an image cannot change."""
        return {}

    def deletes_first(self, call: Call) -> bool:  # noqa: ARG002
        """Both can be at a time."""
        return False

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Try it, then build it."""
        outputs = self._make(call)
        if not call.preview and not has_committed_lock(call.news):
            say_that_the_lock_is_the_stacks(call)
        call.status("")  # else the last line said stays beside a finished image
        return str(call.news["name"]), outputs

    def update(self, call: Call) -> dict[str, Any]:
        """Try and build the new image; the old one stays while a service runs it."""
        say_what_changes(call)
        outputs = self._make(call)
        call.status("")
        return outputs

    def read(self, call: Call) -> Found:
        """Look whether the image is still in the store."""
        digest = call.state.get("digest")
        if digest is None or workplace(call.settings).images.look_up(str(digest)) is None:
            return Found("", {}, {})
        return Found(call.id, dict(call.state), dict(call.news))

    def delete(self, call: Call) -> None:
        """Release every image this resource made; the bytes go with the last claim."""
        place, name = workplace(call.settings), str(call.olds.get("name") or call.state.get("name"))
        owner, images = call.state.get("owner", ""), place.images
        mine = [i.digest for i in images.list(name) if images.is_claimed(name, i.digest, call.claimant, owner=owner)]
        alone = [digest for digest in mine if set(place.images.claims(name, digest)) == {call.claimant}]
        users = sorted({user for digest in alone for user in place.records.users_of_image(digest)})
        if users:
            raise OperationError(
                f"image {name!r} is in use by {', '.join(users)}; remove or update these services first"
            )
        for digest in mine:
            images.remove(name, digest, claimant=call.claimant, owner=owner, in_use=place.records.users_of_image)

    def _make(self, call: Call) -> dict[str, Any]:
        news = call.news
        models = UNKNOWN if has_unknown(_digests(call)) else [_without_sample(m) for m in news.get("models") or ()]
        outputs = {"name": news["name"], "recipe": news.get("recipe", UNKNOWN), "lock": news.get("lock", UNKNOWN)}
        outputs |= {"models": models, "python": UNKNOWN, "contract": UNKNOWN}
        outputs |= {"digest": UNKNOWN, "reference": UNKNOWN, "size": UNKNOWN}
        if has_unknown([news.get("recipe", UNKNOWN), _digests(call)]):
            return outputs
        if call.olds.get("recipe") == news["recipe"] and _tried(call.olds) == _tried(news) and call.preview:
            return {**outputs, **call.state, "models": models}
        try:
            plan, content = _content(call)
        except OperationError as failure:
            if not call.preview or news.get("trial") == "required":
                raise
            call.warn(f"the image was not tried: {failure}")
            return outputs
        verdict = try_image(call, plan, content)
        contract = verdict.contract if verdict is not None else None
        if verdict is not None and not verdict.samples:
            call.info("there is no sample request: a service is ready as soon as init has returned; give samples=[…]")
        outputs |= {"python": plan.inputs.python, "contract": contract or {"schema": 1, "source": "none"}}
        if call.preview:
            return outputs
        owner = call.state.get("owner") or secrets.token_hex(8)
        built = workplace(call.settings).images.build(
            plan,
            dataclasses.replace(content, contract=contract, words=_words(news)),
            claimant=call.claimant,
            owner=owner,
            progress=call.status,
            cancelled=call.cancelled,
        )
        return {**outputs, "digest": built.digest, "reference": built.reference, "size": built.size, "owner": owner}


def _words(news: Mapping[str, Any]) -> ImageWords:
    return ImageWords(dict(news.get("tags") or {}), dict(news.get("properties") or {}), news.get("description") or "")


def _tried(inputs: Mapping[str, Any]) -> bool:
    return bool(inputs.get("trial", "auto") != "off")


def _spec_problems(given: Mapping[str, Any], call: Call) -> list[Problem]:
    plain = [_without_sample(model) for model in given["models"]]
    complete = [m for m in plain if "digest" in m and "name" in m]
    problems = [
        Problem(name, "holds a secret, which everyone who has the image could read; give it to the service instead")
        for name in sorted(call.secrets & set(call.news))
    ]
    problems += [p for p in check_image({**given, "models": complete}) if p.path not in call.news or p.path in given]
    if _alone(call) and not has_unknown([given["models"], _digests(call)]) and not _same_models(call):
        problems += answering_problems(call, given["models"])
    source = given.get("source_directory")
    if isinstance(source, str) and not Path(source).is_dir() and not _same_without_bytes(call):
        problems.append(
            Problem("source_directory", f"is not a folder, got {source!r}; give the folder the script lies in")
        )
    return problems


def _alone(call: Call) -> bool:
    """Return whether a model is to answer by itself."""
    return call.news.get("entry_script") is None


def _same_models(call: Call) -> bool:
    """Return whether the last run had an image of just these models without a script, too."""

    def content(inputs: Mapping[str, Any]) -> list[Any]:
        models = inputs.get("models") or ()
        return [(m.get("digest"), m.get("framework")) if isinstance(m, Mapping) else m for m in models]

    made = isinstance(call.olds.get("recipe"), str) and call.olds.get("entry_script") is None
    return made and content(call.olds) == content(call.news)


def _same_without_bytes(call: Call) -> bool:
    return isinstance(call.olds.get("recipe"), str) and call.olds.get("source_directory") == call.news.get(
        "source_directory"
    )


def _here(call: Call) -> bool:
    source = call.news.get("source_directory")
    if has_unknown(source):
        return False
    if isinstance(source, str) and not Path(source).is_dir() and _same_without_bytes(call):
        call.warn(f"source_directory: {source!r} is not on this machine; taking the code as unchanged")
        return False
    return not isinstance(source, str) or Path(source).is_dir()


def _models(call: Call) -> Sequence[Any]:
    models = call.news.get("models") or ()
    return (UNKNOWN,) if is_unknown(models) else models


def _without_sample(model: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in model.items() if name != "sample"}


def _digests(call: Call) -> Sequence[tuple[Any, Any]]:
    models = _models(call)
    return [(m.get("name"), m.get("digest")) if isinstance(m, Mapping) else (UNKNOWN, UNKNOWN) for m in models]


def _text(lock: Lock | None) -> Any:
    return UNKNOWN if lock is None else lock.text


def _script_problems(call: Call, environment: Environment | None) -> list[Problem]:
    entry, source = call.news.get("entry_script"), call.news.get("source_directory")
    if _alone(call):
        return [] if environment is None else _library_problems(call, environment, None)
    if not isinstance(entry, str) or not isinstance(source, str):
        return []
    importable, lock = None, environment.lock if environment is not None else None
    if lock is not None:
        resolver = workplace(call.settings).resolver
        importable = modules(resolver.install(lock, progress=call.status, cancelled=call.cancelled))
    digests = _digests(call)
    names = [name for name, _ in digests]
    problems = check_entry_script(
        Path(source),
        entry,
        modules=importable,
        models=None if has_unknown(names) else [str(name) for name in names],
        python=environment.spec.python if environment is not None else DEFAULT_PYTHON,
        packages_file=_packages_file(call),
        standins=call.news.get("standins") is not False,
    )
    return problems if environment is None else problems + _library_problems(call, environment, Path(source))


def _library_problems(call: Call, environment: Environment, source: Path | None) -> list[Problem]:
    """Return what keeps the models from being loaded with the locked packages."""
    lock, models = environment.lock, _models(call)
    same = _alone(call) and lock is not None and call.olds.get("lock") == lock.text and _same_models(call)
    if lock is None or same or has_unknown(_digests(call)):
        return []
    resolver = workplace(call.settings).resolver
    importable = modules(resolver.install(lock, progress=call.status, cancelled=call.cancelled))
    local = frozenset() if source is None else frozenset(importable_names(source))
    file = _packages_file(call)
    problems = missing_packages(call, models, lock, file) if _alone(call) else []
    libraries = Libraries(importable, local, dict(lock.packages), lock.text, lock.python, file)
    return problems or pickle_problems(call, models, libraries)


def _packages_file(call: Call) -> str:
    return str(call.news.get("conda_file") or call.news.get("requirements_file") or "")


def _plan(call: Call, environment: Environment, samples: Any) -> LayerPlan:
    """Return the plan, with the runtime and the compiler of the last run if nothing else changed."""
    if environment.lock is None:
        raise InvalidInputError([Problem("", "the packages are not resolved")])
    now, kept = runtime_files().digest, call.olds.get("runtime")
    inputs = _inputs(call, environment, environment.lock, samples, now, _code(call))
    if kept is not None and "runtime" not in call.news.get("upgrade", ()):
        pinned = dataclasses.replace(inputs, runtime_digest=str(kept), compiler=call.olds.get("compiler") or None)
        before = plan_layers(pinned)
        if before.recipe == call.olds.get("recipe"):
            if kept != now:
                say_what_is_newer(call, str(kept), now)
            return before
    compiler = find_compiler(inputs.python)
    return plan_layers(dataclasses.replace(inputs, compiler=compiler.version if compiler else None))


def _inputs(  # noqa: PLR0913, PLR0917  each is one thing that goes in
    call: Call, environment: Environment, lock: Lock, samples: Any, runtime: str, code: SourceTree | None
) -> ImageInputs:
    news = call.news
    return ImageInputs(
        name=news["name"],
        python=environment.spec.python,
        lock_key=lock.key,
        runtime_digest=runtime,
        code_digest=code.digest if code else None,
        models=tuple(ImageModel(m["name"], 0, m["digest"], (), m.get("framework")) for m in news.get("models") or ()),
        entry_script=news.get("entry_script"),
        platform=lock.platform,
        variables=environment.spec.variables,
        samples=samples,
        features=tuple(sorted({*(news.get("features") or ())})),
    )


def _code(call: Call) -> SourceTree | None:
    source = call.news.get("source_directory")
    if not source:
        return None
    index = workplace(call.settings).index
    tree = scan_source(Path(source), index=index, progress=call.status, cancelled=call.cancelled)
    for warning in tree.warnings:
        call.warn(warning)
    return tree


def _content(call: Call) -> tuple[LayerPlan, ImageContent]:
    place, news = workplace(call.settings), call.news
    settled = dataclasses.replace(call, olds=news)  # what check has resolved is kept as it is
    environment = read_environment(settled, {**news, "upgrade": ()})
    if environment.lock is None:
        raise OperationError("the packages cannot be resolved now; run pulumi up again when the index can be reached")
    code = _code(call)
    inputs = _inputs(call, environment, environment.lock, news.get("samples"), str(news["runtime"]), code)
    models = tuple(place.sources.image_model(model) for model in news.get("models") or ())
    packages = place.resolver.install(environment.lock, progress=call.status, cancelled=call.cancelled)
    content = ImageContent(packages=packages, code=code, origin=origin_here())
    plan = plan_layers(dataclasses.replace(inputs, models=models, compiler=news.get("compiler") or None))
    if plan.recipe != news["recipe"]:
        raise OperationError("source_directory: files changed while this ran; run pulumi up again")
    return plan, content
