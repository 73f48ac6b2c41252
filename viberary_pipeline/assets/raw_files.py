"""raw_books, raw_authors, ... of UCSD, raw_ol_works, ... of Open Library: the input files, found and fingerprinted."""

import dagster as dg

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.assets.metadata import table
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.sources.raw_files import RawInput, find, source_at
from viberary_pipeline.sources.table_specs import TABLES


def _raw_asset(name: str) -> dg.AssetsDefinition:
    optional = "; optional" if TABLES[name].optional else ""

    @stage(
        name=f"raw_{name}",
        group="raw",
        kinds={"gzip", "json"},
        description=f"The files of {name} as they are now: place, size, fingerprint{optional}.",
    )
    def raw(work: Work) -> Result:
        location = work.pipeline.raw_location
        # `force` means what it says: nothing that was known is believed.
        known = None if work.force else _known(work.pipeline.store, work.stage)
        mixed_dates = work.pipeline.settings.openlibrary.mixed_dates
        found = find(name, location, known=known, mixed_dates=mixed_dates)
        files = found or RawInput(name, parts=())
        source = source_at(location)
        # The bytes determine the table; the folder that they lie in does not.
        made = work.note(
            files.digest,
            {
                **files.to_json(),
                "absent": found is None,
                "bytes": files.bytes,
                "source": source,
            },
        )
        for note in files.notes:
            work.log.warning(f"{name}: {note}")
        shown = [{"file": part.uri, "bytes": part.bytes, "version": part.version} for part in files.parts]
        return Result(
            made,
            "; ".join(f"{part['file']}: {part['bytes']:,} bytes" for part in shown)
            or f"no {name} at {location}; the build does without",
            quiet=found is None and source not in ("both", TABLES[name].source),
            metadata={
                "files": table(shown),
                "bytes": files.bytes,
                "absent": found is None,
                "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in files.notes) or "none"),
            },
        )

    return raw


def _known(store: ArtifactStore, stage_name: str) -> RawInput | None:
    """What the last run found, if any did, and in today's form."""
    try:
        return RawInput.from_json(store.current(stage_name).facts)
    except (ArtifactError, KeyError, TypeError):
        return None


raw_assets = [_raw_asset(name) for name in TABLES]
