"""Members as files, for whoever reads CSV or Parquet."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from segops_orchestration.defs.exported import CurrentFile, export_tenant
from segops_orchestration.defs.memberships import segment_memberships
from segops_orchestration.defs.metadata import OWNERS, markdown_table
from segops_orchestration.defs.partitions import SPINE_BACKFILLS, tenant_partitions
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.defs.tenant_work import for_each_tenant, tenants_in_use


class ExportsConfig(dg.Config):
    """Run config of ``segment_exports``."""

    only_changed: bool = Field(
        default=False, description="Leave files alone whose segment has not changed since they were written."
    )


@dg.asset(
    deps=[segment_memberships],
    partitions_def=tenant_partitions,
    backfill_policy=SPINE_BACKFILLS,
    group_name="exports",
    kinds={"csv", "parquet"},
    owners=OWNERS,
    tags={"layer": "export", "grain": "tenant"},
    metadata={
        "dagster/table_name": "exports/<tenant>/<segment>",
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn("user_id", "string", "a member"),
                dg.TableColumn("computed_at", "timestamp[ms, UTC]", "instant at which the user entered"),
            ]
        ),
    },
)
def segment_exports(context: dg.AssetExecutionContext, config: ExportsConfig, segops: SegOpsResource) -> None:
    """The members of each active segment as a CSV and a Parquet file under `SEGOPS_HOME/exports/<tenant>/`.

    A file is written under a temporary name and renamed when it is whole.
    """

    def work(tenant: str) -> None:
        directory = segops.settings.exports_dir / tenant
        files = export_tenant(
            segops.catalog, segops.warehouse.tenant(tenant), directory, only_changed=config.only_changed
        )
        context.add_asset_metadata(_metadata(directory, files), partition_key=tenant)

    for_each_tenant(context.log, tenants_in_use(segops, context.partition_keys, context.log), work)


def _metadata(directory: Path, files: list[CurrentFile]) -> dict[str, object]:
    rows = [(file.segment, Path(file.path).name, file.rows, file.bytes, file.written) for file in files]
    return {
        "files": len(files),
        "files_written": sum(file.written for file in files),
        "rows": sum(file.rows for file in files),
        "bytes": sum(file.bytes for file in files),
        "directory": dg.MetadataValue.path(str(directory)),
        "by_file": dg.MetadataValue.md(markdown_table(("segment", "file", "rows", "bytes", "written"), rows)),
        "paths": [file.path for file in files],
    }
