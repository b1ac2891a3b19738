"""What the names of columns tell of results: which way is better, in which unit, or that they are no result."""

from __future__ import annotations

import re

from nas_service.domain.metrics import Goal


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f:@<>=,]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z]+[0-9]*|%")
_MINIMIZE = _set("""latency lat time runtime duration energy power error err loss nll perplexity ppl bpc wer cer mae mse
    rmse fid flops flop macs mac madds madd params param parameters size memory mem bytes area cost cycles
    carbon regret ms mj seconds sec""")
_MAXIMIZE = _set("""accuracy acc top1 top5 f1 auc auroc map miou iou precision recall score reward throughput fps psnr
    ssim bleu rouge dice mcc correct""")
_PERHAPS_ACCURACY = _set("valid val validation test eval")
_NO_RESULT = _set("std stderr stdev var variance sem runs count num index idx id uid rank seed fold hash name")
_SHARES = _set("""accuracy acc top1 top5 f1 auc auroc map miou iou precision recall error err wer cer dice
    valid val validation test eval""")
_UNITS = {
    **dict.fromkeys(("ms", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "seconds"), "s"),
    **dict.fromkeys(("us", "microseconds"), "us"),
    **dict.fromkeys(("mj", "millijoules"), "mJ"),
    **dict.fromkeys(("pct", "percent", "%"), "percent"),
    **{unit.lower(): unit for unit in ("J", "W", "KB", "MB", "GB", "bytes", "fps", "m", "g", "k")},
}
_MILLIONS = {"m": "million", "g": "billion", "k": "thousand"}
_COUNTED = _set("flops flop macs mac madds madd params param parameters")
NEVER_NEGATIVE = _set("latency lat time runtime duration energy power flops macs madds params memory")
ARCHITECTURE = _set("arch architecture archstr arch_str arch_string architecture_string genotype")
FIDELITY = _set("epoch epochs fidelity num_epochs")
REPLICATE = _set("seed replicate repeat repetition")


def words(name: str) -> list[str]:
    """The words of a name in lower case: ``testAcc_top1 (%)`` has test, acc, top1 and %."""
    return _WORD.findall(_CAMEL.sub(" ", name).lower())


def clean_name(column: str) -> str:
    """The column as the name of a metric or choice, without the characters that separate parts elsewhere."""
    return _FORBIDDEN.sub("_", column).strip()[:64] or "_"


def goal_of(name: str) -> Goal | None:
    """The better direction by the name of a result; None where the name says nothing, or is that of no result."""
    said = set(words(name))
    if said & _NO_RESULT:
        return None
    if said & _MINIMIZE:
        return "maximize" if said & {"throughput", "fps"} else "minimize"
    return "maximize" if said & (_MAXIMIZE | _PERHAPS_ACCURACY) else None


def unit_of(name: str, largest: float | None) -> str:
    """The unit by the name, and for shares by their largest value; ``unstated`` where nothing tells."""
    said = words(name)
    for word in reversed(said):
        if word in _UNITS and (word not in _MILLIONS or set(said) & _COUNTED):
            return _MILLIONS.get(word, _UNITS[word])
    if set(said) & _SHARES and not set(said) & {"loss", "time"}:
        return "percent" if largest is not None and largest > 1 else "ratio"
    return "count" if set(said) & _COUNTED else "unstated"
