"""Traces: in come spans of requests, jobs and tasks, out they go to a collector, if the operator names one."""
