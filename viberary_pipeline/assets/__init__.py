"""The assets, in the order of the flow."""

import dagster as dg

from viberary_pipeline.assets.data_quality_report import data_quality_report
from viberary_pipeline.assets.documents import documents
from viberary_pipeline.assets.embeddings import embeddings
from viberary_pipeline.assets.evaluation_report import evaluation_report
from viberary_pipeline.assets.ol_selection import ol_selection
from viberary_pipeline.assets.openlibrary import openlibrary
from viberary_pipeline.assets.published_index import published_index
from viberary_pipeline.assets.query_encoder import query_encoder
from viberary_pipeline.assets.raw_files import raw_assets
from viberary_pipeline.assets.same_works import same_works
from viberary_pipeline.assets.search_index import search_index
from viberary_pipeline.assets.tuned_encoder import tuned_encoder
from viberary_pipeline.assets.typed_tables import table_assets

BUILD_ASSETS: list[dg.AssetsDefinition] = [
    *raw_assets,
    *table_assets,
    ol_selection,
    openlibrary,
    same_works,
    documents,
    data_quality_report,
    embeddings,
    query_encoder,
    search_index,
    evaluation_report,
    published_index,
]
"""Those that a rebuild makes."""
ALL_ASSETS = [*BUILD_ASSETS, tuned_encoder]
