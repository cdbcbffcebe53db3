"""What tokens cost where the client does not say: the public list prices, as of the installed table."""

from __future__ import annotations

from roles.backend import Cost


def priced(cost: Cost) -> tuple[float, bool, str]:
    """Dollars, whether they are an estimate, and what is not known of them ("" when all is)."""
    if cost.usd is not None:
        return cost.usd, False, ""
    if not cost.tokens:
        return 0.0, True, ""
    from genai_prices import Usage, calc_price  # a quarter of a second that the offline backend need not pay

    # The table counts what a cache gave and took among the input.
    usage = Usage(
        input_tokens=cost.input_tokens + cost.cache_read_tokens + cost.cache_write_tokens,
        cache_read_tokens=cost.cache_read_tokens,
        cache_write_tokens=cost.cache_write_tokens,
        output_tokens=cost.output_tokens,
    )
    try:
        return float(calc_price(usage, model_ref=cost.model).total_price), True, ""
    except LookupError:
        return 0.0, True, f"no price is known for {cost.model or 'a model without a name'}"
