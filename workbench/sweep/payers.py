"""The payer of a step."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.errors import SettingsError, TargetError
from workbench.receipts.address import checksum
from workbench.receipts.payer import Payer
from workbench.service.connect import Target
from workbench.service.preflight import check_payer
from workbench.settings import Settings
from workbench.sweep.steps import Step


def require_payers(target: Target, settings: Settings, given: Sequence[str], steps: int, *, toward_limit: bool) -> None:
    """Raise SettingsError, before anything is spent, if there are too few fresh payers for ``steps`` steps.

    ``given``: the addresses already used by steps.
    """
    left = len({checksum(payer.address) for payer in target.payers} - set(given))
    if toward_limit and settings.mode == "fresh" and left < steps:
        raise SettingsError(
            f"--mode fresh needs {steps} payers, one for each step, and has {left}",
            where="mode",
            hint=f"Use --mode cumulative, or {_more_payers(settings)}",
        )


async def payer_of(
    target: Target, settings: Settings, given: Sequence[str], step: Step, *, toward_limit: bool
) -> Payer:
    """The payer of a step.

    In cumulative mode all steps, the paired step and the warm-up have the same payer. A fresh step needs a payer with
    its whole budget; a load, or the first cumulative step, prefers one but takes any that is not denied. A payer that
    was not used yet is checked once more (``service.preflight``). Raises TargetError if there is none.
    """
    cumulative = settings.mode == "cumulative" and step.kind != "pinpoint"
    for payer in target.payers:
        if cumulative and given and checksum(payer.address) == given[0]:
            return payer
    usable, reason = None, ""
    for payer in target.payers:
        fees = await target.fees(payer.address)
        denied = fees is not None and fees.denied and settings.preflight  # without a preflight it cannot be checked
        unspent = fees is None or (fees.spent == 0 and not denied)
        if unspent and checksum(payer.address) not in given:
            wrong = await check_payer(target, payer)
            if wrong is None:
                return payer
            reason = f": {wrong.what}"
            continue
        if usable is None and not denied:
            usable = payer
    if usable is not None and (cumulative or not toward_limit):
        return usable
    raise TargetError(
        f"step {step.number} needs a payer with budget left, and none of {len(target.payers)} has it{reason}",
        where=target.url,
        hint="Raise --standin-payers" if _are_ours(settings) else f"Redeem, top up, or {_more_payers(settings)}",
    )


def _are_ours(settings: Settings) -> bool:
    """Whether the payers belong to the stand-in or to a network that is started for the run."""
    elsewhere = (settings.target, settings.compose, settings.service_command)
    return not settings.payers and (settings.network or all(where is None for where in elsewhere))


def _more_payers(settings: Settings) -> str:
    """What to do about too few payers: an option can add some only to a stand-in or network started here."""
    if _are_ours(settings):
        return "raise --standin-payers"
    return "give more payers with their keys in WORKBENCH_PAYERS and WORKBENCH_SIGNER_KEYS"
