"""No query ends in anything but results or a message, whatever readers type, over both protocols."""

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from viberary_pipeline.errors import QueryError
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.searcher import Searcher

UNKNOWN = "gollum frodo Krimi mxyzptlk prachett neuormancer wnter"
KNOWN = "love War the of Pratchett guards winter solitude neuromancer"
ELSEWHERE = "İstanbul straße Преступление 吾輩は猫である ﬁnd ſea قصة हिन्दी Ꭰꭰ ǅ café cafe\u0301 ı ŉ"
KEYWORDS = "inf -inf +inf nan 1e5 0x1F AS KNN OR NOT ismissing contains within $query @title:{x} => 1984 #1"
ODD = ("\U0001f409", "\ud800", "\x00", "\x1b[31m", "\u200b", "\u202e", "\ufffd", "²", "①", "½", "x" * 3000, "é" * 500)

piece = st.one_of(
    st.sampled_from(f"{UNKNOWN} {KNOWN}".split()),
    st.sampled_from([*f"{UNKNOWN} {ELSEWHERE} {KEYWORDS}".split(), *ODD]),
    st.sampled_from("|-@{}()~*%$\"'\\:;,[]_^#=<>&!?/"),
    st.text(max_size=8),
    st.integers().map(str),
)
texts = st.builds(
    lambda pieces, repeated, gap: gap.join(pieces + [pieces[n % len(pieces)] for n in repeated]),
    st.lists(piece, min_size=1, max_size=8),
    st.lists(st.integers(0, 7), max_size=4),
    st.sampled_from([" ", " ", " ", "", " (", ", #"]),
)


@pytest.fixture(scope="module")
def searchers(published):
    """One for each protocol."""
    kwargs = published.redis.connection_pool.connection_kwargs
    return [
        Searcher(redis.Redis(host=kwargs["host"], port=kwargs["port"], protocol=protocol), published.home)
        for protocol in (3, 2)
    ]


def answers(searchers, query, k=10, filters=None):
    """What each protocol gives: results, or a refusal in words."""
    results = []
    for searcher in searchers:
        try:
            results.append(searcher.search(query, k, filters))
        except QueryError as error:
            results.append(str(error))
    return results


@pytest.mark.parametrize(
    "query",
    [
        "gollum frodo gollum",
        "Artemis Fowl (Artemis Fowl, #1)",
        "Ein Krimi aus dem Norden, ein Krimi",
        "frodo gollum gollum frodo",
        "Gollum gollum GOLLUM",
        "kign of the hobit, kign",
        "straße frodo STRASSE",
        "prachett guards prachett",
        "ismissing gollum frodo",
    ],
)
def test_repeated_unknown_words_get_results(searchers, query):
    newer, older = answers(searchers, query)
    assert newer == older
    assert len(newer.results) == 10


@given(texts)
@example("gollum frodo gollum")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_gets_the_same_results_over_both_protocols_or_a_refusal(searchers, query):
    newer, older = answers(searchers, query)
    assert newer == older
    assert isinstance(newer, str) or (newer.query, len(newer.results)) == (query, 10)


@given(st.lists(st.sampled_from(f"{UNKNOWN} {KNOWN} {ELSEWHERE}".split()), min_size=1, max_size=12).map(" ".join))
@settings(max_examples=100, deadline=None)
def test_words_known_and_unknown_get_results_with_filters_too(searchers, query):
    narrowed = Filters(languages=("en",), years=(1900, None))
    newer, older = answers(searchers, query, 3, narrowed)
    assert newer == older
    assert len(newer.results) == 3


@given(texts)
@settings(max_examples=100, deadline=None)
def test_any_text_is_no_book_or_has_similar_ones(searchers, book_id):
    for searcher in searchers:
        with pytest.raises(QueryError, match="No such book"):
            searcher.similar(f"no {book_id}")


@given(st.lists(texts, min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_batch_has_one_response_for_each_query_in_their_order(searchers, queries):
    refused = []
    responses = list(searchers[0].search_each([*queries, "love"], 3, report=refused.append))
    assert [response.query for response in responses] == [*queries, "love"]
    assert len(responses[-1].results) == 3
    assert sum(not response.results for response in responses) == len(refused)
    assert {type(error) for error in refused} <= {QueryError}
