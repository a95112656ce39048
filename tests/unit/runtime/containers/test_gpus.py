from __future__ import annotations

from typing import Any

import pytest

from tork.errors import RuntimeFailure
from torkd.runtime.containers.gpus import device_requests


def request(**changed: Any) -> dict[str, Any]:
    return {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}, **changed}


REQUESTS = {
    "all": request(Count=-1),
    "-1": request(Count=-1),
    "2": request(Count=2),
    "0": request(Count=0),
    "count=3": request(Count=3),
    "count=all": request(Count=-1),
    "all\n": request(Count=-1),
    "driver=nvidia": request(Count=1, Driver="nvidia"),
    "device=0": request(DeviceIDs=["0"]),
    "device=GPU-3a23c669-1f69-c64e-cf85-44e9b07e7a2a": request(DeviceIDs=["GPU-3a23c669-1f69-c64e-cf85-44e9b07e7a2a"]),
    '"device=0,1"': request(DeviceIDs=["0", "1"]),
    "capabilities=utility": request(Count=1, Capabilities=[["utility", "gpu"]]),
    "capabilities=gpu": request(Count=1, Capabilities=[["gpu"]]),
    'all,"capabilities=compute,utility"': request(Count=-1, Capabilities=[["compute", "utility", "gpu"]]),
    "options=a=1": request(Count=1, Options={"a": "1"}),
    "options=a": request(Count=1, Options={"a": ""}),
    '"options=a=1,b=2=3"': request(Count=1, Options={"a": "1", "b": "2=3"}),
    '"options=""a=1,2"",b=3"': request(Count=1, Options={"a": "1,2", "b": "3"}),
    'driver=nvidia,"capabilities=compute","options=a=1",count=4': request(
        Driver="nvidia", Count=4, Capabilities=[["compute", "gpu"]], Options={"a": "1"}
    ),
    '"device=0,1",driver=nvidia,"capabilities=compute"': request(
        Driver="nvidia", DeviceIDs=["0", "1"], Capabilities=[["compute", "gpu"]]
    ),
}


@pytest.mark.parametrize(("text", "expected"), REQUESTS.items(), ids=REQUESTS.keys())
def test_a_text_becomes_the_request_that_docker_makes_of_it(text: str, expected: dict[str, Any]) -> None:
    assert device_requests(text) == [expected]


@pytest.mark.parametrize("text", ["", " ", "\n"], ids=repr)
def test_without_gpus_nothing_is_asked_for(text: str) -> None:
    assert device_requests(text) == []


FAULTS = {
    "memory=4": "unexpected key 'memory' in 'memory=4'",
    "=4": "unexpected key ''",
    "all, driver=nvidia": "unexpected key ' driver'",
    "some": "invalid count 'some'",
    "count=": "invalid count ''",
    "count=1.5": "invalid count '1.5'",
    "count=-2": "invalid count '-2'",
    "count=1_0": "invalid count '1_0'",
    "count=٢": "invalid count",
    "count=99999999999999999999": "invalid count",
    "count=1,count=2": "count is given twice",
    "1,2": "count is given twice",
    "count=1,2": "count is given twice",
    "driver=a,driver=b": "driver is given twice",
    "all,device=0": "count and device can't be given together",
    "device=0,1": "count and device can't be given together",
    'device="0,1"': "is not well quoted",
    '"device=0,1': "is not well quoted",
    '"device=0"1': "is not well quoted",
    "all\n2": "is not well quoted",
    "all,": "has an empty field",
    ",": "has an empty field",
    "device=": "device '' has an empty name",
    '"device=0,,1"': "device '0,,1' has an empty name",
    "capabilities=": "capabilities '' has an empty name",
    "options=": "options '' has one without a name",
    "options==1": "options '=1' has one without a name",
}


@pytest.mark.parametrize(("text", "fault"), FAULTS.items(), ids=FAULTS.keys())
def test_a_text_that_docker_would_not_take_is_refused_in_one_sentence(text: str, fault: str) -> None:
    with pytest.raises(RuntimeFailure, match=rf"^error setting GPUs: .*{fault}.*\(right would be .*\)$"):
        device_requests(text)
