"""What we add is held to the suites of torkd: pip install 'torkd[testing]', then pytest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tork_site.counting_broker import CountingBroker
from tork_site.licences import LicensedRuntime
from tork_site.scratch import ScratchMounter
from tork_site.tally import Tally

from tork.task import Mount
from torkd.broker.protocol import Broker
from torkd.runtime.containers.mounters import Mounter
from torkd.runtime.protocol import Runtime
from torkd.testing import BrokerContract, MounterContract, RuntimeContract


class TestLicensedRuntime(RuntimeContract):
    """Scripts in the shell, two at once."""

    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Iterator[Runtime]:
        runtime = LicensedRuntime({"temp_dir": str(tmp_path)})
        yield runtime
        runtime.close()


class TestScratchMounter(MounterContract):
    """A directory for each run."""

    @pytest.fixture
    def mounter(self, tmp_path: Path) -> Mounter:
        return ScratchMounter({"place": str(tmp_path)})

    @pytest.fixture
    def mount(self) -> Mount:
        return Mount(type="scratch", source="a", target="/scratch")

    @pytest.fixture
    def wrong_mount(self) -> Mount:
        return Mount(type="scratch", source="../etc", target="/scratch")


class TestCountingBroker(BrokerContract):
    """The one in memory, with a count."""

    @pytest.fixture
    def broker(self) -> Iterator[Broker]:
        broker = CountingBroker(Tally())
        broker.open()
        yield broker
        broker.close()
