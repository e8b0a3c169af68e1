"""``Image``: dependencies, runtime, code and models become layers in the local image store."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pulumi_mlserve.clients.images.image_records import ImageWords
from pulumi_mlserve.core.images.image import BuiltImage
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.provider.call import Call, Checked, Found, PartialFailure
from pulumi_mlserve.provider.image_base import base_reference, device_of, settle_base
from pulumi_mlserve.provider.image_changes import say_that_the_lock_is_the_stacks, say_what_changes
from pulumi_mlserve.provider.image_environment import (
    Environment,
    deciding_variables,
    has_committed_lock,
    platform_of,
    read_environment,
)
from pulumi_mlserve.provider.image_forecast import say_what_is_built, say_what_is_moved
from pulumi_mlserve.provider.image_given import digests_of, is_source_here, models_of, without_sample
from pulumi_mlserve.provider.image_plan import content_of, plan_image
from pulumi_mlserve.provider.image_problems import script_problems, spec_problems_of
from pulumi_mlserve.provider.image_registry import (
    is_in_registry,
    not_pushed,
    push_image,
    reference_of,
    with_destination,
)
from pulumi_mlserve.provider.image_release import release_image
from pulumi_mlserve.provider.image_samples import samples_of
from pulumi_mlserve.provider.image_trial import try_image
from pulumi_mlserve.provider.image_unsettled import UNSETTLED, UnsettledError, lost_source, say_why
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown, known
from pulumi_mlserve.provider.workplace import workplace

# What decides on the bytes of an image: while one of them is not known, nothing about the image is.
_DECIDES: Final = (
    "base_image",
    "base_packages",
    "conda_file",
    "cuda_version",
    "enable_gpu",
    "entry_script",
    "environment_variables",
    "extras",
    "features",
    "name",
    "platform",
    "python_version",
    "requirements_file",
    "samples",
    "standins",
    "upgrade",
)
_BASED: Final = frozenset({"base_image", "base_image_registry", "cuda_version", "enable_gpu", "registry"})
"""What decides on the base."""
_COMPUTED: Final = frozenset({"requirements", "lock", "layers", "recipe", "runtime", "compiler", "base"})
_COMPLETED: Final = _COMPUTED | {"pushed", "variables", UNSETTLED}


class ImageHandler:
    """Checks and tries an image before anything is touched, then builds what is not built yet."""

    compared = (
        "name",
        "layers",
        "recipe",
        "entry_script",
        "environment_variables",
        "base_packages",
        "features",
        "platform",
        "samples",
        "trial",
        "tags",
        "properties",
        "description",
        "base_image_steps",
        "registry",
        "repository",
        "registry_tag",
        "pushed",
        UNSETTLED,
    )
    replaced = ("name",)

    def check(self, call: Call) -> Checked:
        """Read everything that goes in, and compute what each layer is made from."""
        call = dataclasses.replace(call, news=with_destination(call))
        given = {name: value for name, value in known(call.news).items() if name not in _COMPLETED}
        given["models"] = [known(model) for model in models_of(call) if isinstance(model, Mapping)]
        problems = spec_problems_of(given, call)
        if has_unknown(call.news.get("source_directory")):
            unknown = {**dict.fromkeys(_COMPUTED, UNKNOWN), "variables": deciding_variables(call.news)}
            return Checked({**call.news, **unknown}, problems)
        if not is_source_here(call):
            given = {"samples": samples_of(call.news)} if "samples" in call.news else {}
            lost = lost_source(dataclasses.replace(call, news={**call.news, **given}), _DECIDES)
            as_before = ("samples", "variables") if lost is None else ("samples",)
            kept = {name: call.olds[name] for name in as_before if name in call.olds}
            return Checked({**call.news, **kept, **_as_it_was(call, lost), **given}, problems)
        inputs = {**call.news, "samples": samples_of(call.news), "variables": deciding_variables(call.news)}
        environment, unsettled = None, None
        unknown_server = has_unknown(digests_of(call)) and "entry_script" not in call.news
        if unknown_server or has_unknown([call.news.get(name) for name in _DECIDES]):
            problems += script_problems(call, None)
        else:
            environment, base, unsettled = _environment(call, given, problems)
            inputs |= base
        if unsettled is not None and not problems:
            return Checked(inputs | _as_it_was(call, unsettled))
        if problems or environment is None:
            return Checked(inputs | dict.fromkeys(_COMPUTED, UNKNOWN), problems)
        inputs["requirements"] = environment.requirements
        inputs["lock"] = UNKNOWN if environment.lock is None else environment.lock.text
        if environment.lock is None or has_unknown([digests_of(call), inputs["samples"], inputs.get("base")]):
            return Checked(inputs | dict.fromkeys(("layers", "recipe", "runtime", "compiler"), UNKNOWN))
        plan = plan_image(dataclasses.replace(call, news=inputs), environment, inputs["samples"])
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
        """Try it, build it, then push it."""
        name, (outputs, built) = str(call.news["name"]), self._make(call)
        if built is not None:
            try:
                outputs |= push_image(call, built, outputs["owner"])
            except OperationError as failure:  # what is built is kept, so that the next update pushes it
                raise PartialFailure(name, {**outputs, **not_pushed(call, built)}, str(failure)) from failure
        if not call.preview and not has_committed_lock(call):
            say_that_the_lock_is_the_stacks(call)
        call.status("")  # else the last line said stays beside a finished image
        return name, outputs

    def update(self, call: Call) -> dict[str, Any]:
        """Try, build and push the new image; the old one stays while a service runs it."""
        say_what_changes(call)
        outputs, built = self._make(call)
        if built is not None:
            outputs |= push_image(call, built, outputs["owner"])
        call.status("")
        return outputs

    def read(self, call: Call) -> Found:
        """Look whether the image is still in its registry, or in the store if it has none."""
        digest = call.state.get("digest")
        if digest is None:
            return Found("", {}, {})
        if call.news.get("registry"):
            # The local store may be another machine's; what the registry has lost, the next update pushes again.
            there = is_in_registry(call, call.news, str(digest))
            return Found(call.id, dict(call.state), {**call.news, "pushed": there})
        if workplace(call.settings).images.look_up(str(digest)) is None:
            return Found("", {}, {})
        return Found(call.id, dict(call.state), dict(call.news))

    def delete(self, call: Call) -> None:
        """Release every image this resource made; the bytes go with the last claim."""
        release_image(call)

    def _make(self, call: Call) -> tuple[dict[str, Any], BuiltImage | None]:
        """Return the outputs, and the image if it was built and is to be pushed."""
        news = {**call.news, **dict.fromkeys(_COMPUTED, UNKNOWN)} if say_why(call) else call.news
        models: Any = (
            UNKNOWN if has_unknown(digests_of(call)) else [without_sample(m) for m in news.get("models") or ()]
        )
        outputs = {"name": news["name"], "recipe": news.get("recipe", UNKNOWN), "lock": news.get("lock", UNKNOWN)}
        platform = UNKNOWN if has_unknown(news.get("platform")) else platform_of(call)
        outputs |= {"models": models, "python": UNKNOWN, "platform": platform, "contract": UNKNOWN}
        outputs |= {"digest": UNKNOWN, "reference": UNKNOWN, "size": UNKNOWN}
        # What the last run left out, and files elsewhere do not tell, stays out.
        outputs |= {"variables": news.get("variables", UNKNOWN if call.preview else None), **_stands_on(news)}
        if has_unknown([news.get("recipe", UNKNOWN), digests_of(call)]):
            return outputs, None
        if call.olds.get("recipe") == news["recipe"] and _tried(call.olds) == _tried(news):
            same = {**outputs, **call.state, "models": models}
            if call.preview:
                say_what_is_moved(call)
                return {**same, "reference": reference_of(call, call.state.get("digest", UNKNOWN))}, None
            if (kept := self._kept(call, models)) is not None:
                return same, kept
        try:
            plan, content = content_of(call)
        except OperationError as failure:
            if not call.preview or news.get("trial") == "required":
                raise
            call.warn(f"the image was not tried: {failure}")
            return outputs, None
        verdict = try_image(call, plan, content)
        contract = verdict.contract if verdict is not None else None
        if verdict is not None and not verdict.samples:
            call.info("there is no sample request: a service is ready as soon as init has returned; give samples=[…]")
        outputs |= {"python": plan.inputs.python, "contract": contract or {"schema": 1, "source": "none"}}
        if call.preview:
            say_what_is_built(call, plan, content)
            return outputs, None
        owner = call.state.get("owner") or secrets.token_hex(8)
        built = workplace(call.settings).images.build(
            plan,
            dataclasses.replace(content, contract=contract, words=_words(news)),
            claimant=call.claimant,
            owner=owner,
            progress=call.status,
            cancelled=call.cancelled,
        )
        return {**outputs, "digest": built.digest, "size": built.size, "owner": owner}, built

    @staticmethod
    def _kept(call: Call, models: Sequence[Mapping[str, Any]]) -> BuiltImage | None:
        """Return the image of the last run if it is wanted as it is and lies whole on this machine."""
        images, owner = workplace(call.settings).images, call.state.get("owner")
        built = images.whole(str(call.state.get("digest"))) if owner else None
        if built is None or {(m["name"], m["digest"], m.get("version")) for m in models} != {
            (name, digest, version) for name, version, digest in built.models
        }:
            return None
        images.claim(built.digest, call.claimant, owner=owner, words=_words(call.news))
        return built


def _as_it_was(call: Call, unsettled: Problem | None) -> dict[str, Any]:
    """Return what the last run computed, and why it may be no longer so."""
    kept = {name: call.olds[name] for name in _COMPUTED if name in call.olds}
    return kept if unsettled is None else {**kept, UNSETTLED: str(unsettled)}


def _words(news: Mapping[str, Any]) -> ImageWords:
    return ImageWords(
        dict(news.get("tags") or {}),
        dict(news.get("properties") or {}),
        news.get("description") or "",
        dict(news.get("base_image_steps") or {}),
    )


def _environment(
    call: Call, given: Mapping[str, Any], problems: list[Problem]
) -> tuple[Environment | None, dict[str, Any], Problem | None]:
    """Return environment, base, and why one of them cannot be told now; what is wrong is added to the problems."""
    wrong, environment, base = {problem.top for problem in problems}, None, None
    try:
        usable = dataclasses.replace(call, news={n: v for n, v in call.news.items() if n not in wrong})
        environment = read_environment(usable, {n: v for n, v in given.items() if n not in wrong})
    except InvalidInputError as invalid:
        problems += invalid.problems
    problems += script_problems(call, environment)
    if environment is None or not _BASED.isdisjoint(wrong):
        return environment, {}, None
    if environment.trouble:
        return environment, {}, Problem(environment.spec.source, environment.trouble)
    try:
        base = settle_base(call, environment)
    except InvalidInputError as invalid:
        problems += invalid.problems
    except UnsettledError as failure:
        return environment, {}, failure.problem
    return environment, {} if base is None else {"base": base}, None


def _stands_on(news: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the outputs say of the base, and of the device that it decides on."""
    if has_unknown(news.get("base")):
        return {"base": UNKNOWN, "device": UNKNOWN}
    return {"base": base_reference(news) or "", "device": device_of(news)}


def _tried(inputs: Mapping[str, Any]) -> bool:
    return bool(inputs.get("trial", "auto") != "off")
