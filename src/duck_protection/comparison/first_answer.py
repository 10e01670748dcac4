"""The child of starting.py: loads a model, answers once, says what that took of the machine, and ends."""

from __future__ import annotations

import json
import os
import sys
import time

from duck_protection.comparison.meters import open_card, taken_by
from duck_protection.vlm.base import VlmError


def main(where: str, device: str, dtype: str) -> int:
    """The exit code; the last line of stdout is JSON, or the last line of stderr says what is wrong."""
    card = open_card(device)
    before_mib = card.used_mib()
    try:
        from duck_protection.vlm.fastvlm import FastVlm

        FastVlm(where, device, dtype).warm_up()
    except VlmError as err:
        print(err, file=sys.stderr)
        return 1
    answered_s = time.monotonic()
    taken = taken_by(os.getpid(), card)
    card_mib, why = taken.card_mib, taken.why
    after_mib = card.used_mib()
    if card_mib is None and before_mib is not None and after_mib is not None:
        card_mib, why = after_mib - before_mib, "the whole card's growth while this model was loaded"
    told = {"resident_mib": taken.resident_mib, "card_mib": card_mib, "why": why}
    print(json.dumps({**told, "leaving_s": time.monotonic() - answered_s}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
