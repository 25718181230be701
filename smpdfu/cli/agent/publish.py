"""``publish``: reads the packages and the login, has them published, follows the rollout, and shows what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.agent.description.authentication import check_secret_file
from smpdfu.agent.management.access import ManagementAccess, password_login, token_login
from smpdfu.agent.management.checks import PublishTrust
from smpdfu.agent.management.contents import PackageToPublish
from smpdfu.agent.management.publication import Publication, RolloutOutcome
from smpdfu.agent.management.publish import publish, watch_rollout
from smpdfu.agent.management.states import group_entry
from smpdfu.agent.management.wish import ActionKind, RolloutWish
from smpdfu.cli.agent.publish_view import PublishView
from smpdfu.cli.app.ending import conclude, conclude_events
from smpdfu.cli.terminal import interruption
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, facts, stacked, table
from smpdfu.image.signers.secret import secret_from_env, secret_from_file
from smpdfu.local.state.limits import no_core_file

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.agent.publish_options import NameOptions, RolloutOptions, ServerOptions, TrustedKeys
    from smpdfu.cli.image.trust_options import NsibOptions

_LEFT = "The server keeps what is published. Run the same command again to continue."
_ROLLOUT_LEFT = "The rollout continues at the server. Run the same command again to follow it."


async def publish_packages(
    files: Sequence[Path],
    server: ServerOptions,
    names: NameOptions,
    keys: TrustedKeys,
    nsib: NsibOptions,
    rollout: RolloutOptions,
    out: Output,
) -> None:
    """Publish packages, and follow the rollout if that is wanted. Raises SmpdfuError for how it ended."""
    no_core_file()
    with _usage():
        wish = _wish(rollout)
        access = _access(server)
        packages = [_package(str(file)) for file in files]
        trust = PublishTrust(keys.keys(), nsib.keys(), keys.allow_dev_keys)
        with PublishView(out, events=rollout.events) as view:
            with interruption.leaves(_LEFT):
                done = await publish(
                    packages,
                    access,
                    trust=trust,
                    name=names.name,
                    version=names.version,
                    module_type=names.module_type,
                    set_type=names.set_type,
                    rollout=wish if wish is None or not rollout.watch else replace(wish, start=False),
                    watch=view,
                )
            view.uploaded()
            outcome = None
            if rollout.watch and done.rollout is not None:
                _say(done, out)
                with interruption.leaves(_ROLLOUT_LEFT), view.table():
                    outcome = await watch_rollout(done.rollout.id, access, start=rollout.start, watch=view)
    _end(done, outcome, rollout, out)


@contextmanager
def _usage() -> Iterator[None]:
    """Names, addresses and combinations that cannot be are wrong options."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None


def _wish(options: RolloutOptions) -> RolloutWish | None:
    if options.rollout is None:
        if options.targets is not None or options.start or options.watch or options.events:
            raise ValueError("--targets, --start, --watch and --events need --rollout NAME")
        return None
    if options.targets is None:
        raise ValueError("--rollout needs --targets QUERY")
    if options.events and not options.watch:
        raise ValueError("--events needs --watch")
    try:
        action = ActionKind(options.action)
    except ValueError:
        raise ValueError(f"--type is {', '.join(ActionKind)}, not {options.action}") from None
    percents = (options.success, options.error)
    return RolloutWish(options.rollout, options.targets, options.groups, *percents, action, options.start)


def _access(options: ServerOptions) -> ManagementAccess:
    """Read the login. Raises ValueError for options that do not fit, AgentFileError or PassphraseError."""
    passwords = [options.password_file, options.password_env]
    given = [one for one in (*passwords, options.token_file, options.token_env) if one is not None]
    if len(given) != 1:
        raise ValueError(
            "give one of --password-file, --password-env, --token-file and --token-env: a secret is no argument"
        )
    is_token = given[0] not in passwords
    if is_token == (options.user is not None):
        raise ValueError("--user is for a password, not for a token" if is_token else "a password needs --user NAME")
    what = "access token" if is_token else "password"
    secret = _secret(given[0], what).decode("utf-8", "replace")
    login = token_login(secret) if options.user is None else password_login(options.user, secret)
    return ManagementAccess(options.server, login, options.ca, options.tenant, options.insecure_http, options.proxy)


def _secret(place: Path | str, what: str) -> bytes:
    if isinstance(place, str):
        return secret_from_env(place, what)
    check_secret_file(place)
    return secret_from_file(place, what)


def _package(word: str) -> PackageToPublish:
    hardware, mark, file = word.partition("=")
    if not mark or Path(word).exists():
        return PackageToPublish.load(word)
    if not hardware:
        raise ValueError(f"{word} has no hardware before the =")
    return PackageToPublish.load(file, hardware)


def _end(done: Publication, outcome: RolloutOutcome | None, options: RolloutOptions, out: Output) -> None:
    """Show what there is now, and leave with the exit code of the rollout's end."""
    error = None if outcome is None else outcome.error()
    if options.events:
        conclude_events(out, _summary(done, outcome), error)
    else:
        conclude(out, _summary(done, outcome), lambda: _told(done, outcome), error)


def _summary(done: Publication, outcome: RolloutOutcome | None) -> dict[str, Any]:
    said: dict[str, Any] = {"modules": done.modules, "distribution_set": done.set, "warnings": done.warnings}
    if done.rollout is None:
        return said
    rollout = asdict(done.rollout)
    if outcome is not None:
        state = outcome.state
        rollout |= {
            "status": state.rollout.status,
            "targets": state.rollout.total,
            "end": outcome.end,
            "counts": state.rollout.counts,
            "groups": [group_entry(group) for group in state.groups],
            "failed": outcome.failed,
        }
    return said | {"rollout": rollout}


def _say(done: Publication, out: Output) -> None:
    """Before a long watch: what there is now."""
    for one in done.modules:
        out.say(f"software module {one.name} {one.version}: {_made(existed=one.existed)}")
    out.say(f"distribution set {done.set.name} {done.set.version}: {_made(existed=done.set.existed)}")


def _made(*, existed: bool) -> str:
    return "was there with the same content" if existed else "published"


def _told(done: Publication, outcome: RolloutOutcome | None) -> RenderableType:
    pairs: list[tuple[str, object]] = []
    for one in done.modules:
        pairs += [(f"software module {one.id}", f"{one.name} {one.version}: {_made(existed=one.existed)}")]
        pairs += [("SHA-256", one.sha256)]
    made = _made(existed=done.set.existed)
    pairs += [(f"distribution set {done.set.id}", f"{done.set.name} {done.set.version}: {made}")]
    if outcome is not None:
        return stacked(facts(pairs), *_rollout_told(outcome))
    if done.rollout is not None:
        one_rollout = done.rollout
        pairs += [(f"rollout {one_rollout.id}", f"{one_rollout.name}: {one_rollout.status.replace('_', ' ')}")]
    return facts(pairs)


def _rollout_told(outcome: RolloutOutcome) -> list[RenderableType]:
    state = outcome.state
    rows = [
        (group.name, group.status, group.total, counts.finished, counts.error, counts.cancelled)
        for group in state.groups
        for counts in [group.counts]
    ]
    title = f"rollout {state.rollout.name}: {outcome.end}"
    parts = [table(title, ("group", "status", "targets", "done", "failed", "cancelled"), rows)]
    if outcome.failed:
        failures = [(one.target or one.action, " ".join(one.messages)) for one in outcome.failed]
        parts.append(table("", ("failed", "what it said"), failures))
    return parts
