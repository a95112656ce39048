"""What our site adds to torkd. The entry point is `register`."""

from __future__ import annotations

from tork_site.card_numbers import HideCardNumbers
from tork_site.counting_broker import CountingBroker
from tork_site.counting_datastore import CountingDatastore
from tork_site.jobs import SiteJobs
from tork_site.licences import LicensedRuntime
from tork_site.machines import SeenMachines
from tork_site.report import Report
from tork_site.scratch import ScratchMounter
from tork_site.signature import Signature
from tork_site.tally import Tally
from tork_site.tasks import SiteTasks
from torkd.extensions import Extensions


def register(extensions: Extensions) -> None:
    """Register everything. All of it counts into one tally, which the report shows."""
    tally = Tally()
    extensions.register_endpoint("GET", "/site/report", Report(tally), group="metrics")
    extensions.register_web_middleware(Signature())
    extensions.register_job_middleware(SiteJobs(tally))
    extensions.register_task_middleware(SiteTasks(tally))
    extensions.register_node_middleware(SeenMachines(tally))
    extensions.register_log_middleware(HideCardNumbers())
    extensions.register_runtime("licensed", LicensedRuntime)
    extensions.register_mounter("docker", "scratch", ScratchMounter)
    extensions.register_mounter("podman", "scratch", ScratchMounter)
    extensions.register_broker("counting", lambda _: CountingBroker(tally))
    extensions.register_datastore("counting", lambda section: CountingDatastore(section, tally))
