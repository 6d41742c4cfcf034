"""Runs by Dagster's webserver: launched, and asked how they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from segops_orchestration.api.runs.work import JOB, TENANT_PARTITIONS, LaunchFailed, Work

_SECONDS = 20

_FIND_JOB = """query {
  repositoriesOrError {
    ... on RepositoryConnection { nodes { name location { name } jobs { name } } }
  }
}"""

_ADD_PARTITION = """mutation ($selector: RepositorySelector!, $name: String!, $key: String!) {
  addDynamicPartition(repositorySelector: $selector, partitionsDefName: $name, partitionKey: $key) {
    __typename
  }
}"""

_LAUNCH = """mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
  }
}"""

_STATUSES = """query ($ids: [String]!, $limit: Int!) {
  runsOrError(filter: {runIds: $ids}, limit: $limit) {
    ... on Runs { results { runId status } }
  }
}"""


@dataclass(frozen=True)
class _Job:
    location: str
    repository: str


class DagsterWebserver:
    """GraphQL at ``url``, Dagster's address as a browser uses it."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/").removesuffix("/graphql") + "/graphql"
        self._job: _Job | None = None

    def launch(self, work: Work) -> str:
        """Launch the tenant's job for one segment; returns the run's id.

        Raises:
            LaunchFailed: Dagster does not answer, or refuses.
        """
        job = self._find_job()
        selector = {"repositoryLocationName": job.location, "repositoryName": job.repository}
        added = self._ask(_ADD_PARTITION, {"selector": selector, "name": TENANT_PARTITIONS, "key": work.tenant})
        if added["addDynamicPartition"]["__typename"] not in (
            "AddDynamicPartitionSuccess",
            "DuplicateDynamicPartitionError",
        ):
            raise LaunchFailed("Dagster did not take the tenant as a partition")
        params = {
            "selector": {**selector, "jobName": JOB},
            "mode": "default",
            "runConfigData": work.run_config,
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in work.tags.items()]},
        }
        launched = self._ask(_LAUNCH, {"params": params})["launchRun"]
        if launched["__typename"] != "LaunchRunSuccess":
            # The location may have been loaded anew under another name.
            self._job = None
            raise LaunchFailed(f"Dagster refused the run: {launched['__typename']}")
        return str(launched["run"]["runId"])

    def statuses(self, run_ids: Sequence[str]) -> dict[str, str]:
        """Dagster's word for how each run stands; one that it does not know is left out.

        Raises:
            LaunchFailed: Dagster does not answer.
        """
        found = self._ask(_STATUSES, {"ids": list(run_ids), "limit": len(run_ids)})["runsOrError"]
        if "results" not in found:
            raise LaunchFailed("Dagster could not say how the runs stand")
        return {run["runId"]: run["status"] for run in found["results"]}

    def _find_job(self) -> _Job:
        if self._job is None:
            nodes = self._ask(_FIND_JOB, {})["repositoriesOrError"].get("nodes", [])
            for node in nodes:
                if any(job["name"] == JOB for job in node["jobs"]):
                    self._job = _Job(node["location"]["name"], node["name"])
                    return self._job
            raise LaunchFailed(f"Dagster has loaded no job {JOB!r}")
        return self._job

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = requests.post(self._url, json={"query": query, "variables": variables}, timeout=_SECONDS)
            answer = response.json()
            data = answer["data"] if response.ok else None
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise LaunchFailed("Dagster's webserver did not answer; try again shortly") from error
        if not isinstance(data, dict) or answer.get("errors"):
            raise LaunchFailed("Dagster's webserver did not understand the question; the versions may not fit")
        return data
