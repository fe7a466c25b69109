"""
Railway's API for the practice stack: its services as a person would have set them up there, what they log and use.
"""

import math
import os
import re
import time

from clouds_graphql import Refused, chosen, selection
from clouds_stack import BORN, instant, memory, moment, processes, processor, rfc3339

PROJECT = {"id": "project-practice", "name": "practice"}
ENVIRONMENT = {"id": "environment-practice", "name": "production"}
# Of one instance, as a small plan has it.
MEMORY_LIMIT_GB = 8.0
# Characters of a line of the app.
LONGEST = 2000
LEVELS = re.compile(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
# A part of a filter: @name:value, @name:>value, "words", word.
PART = re.compile(r'@(\w+):(>=|<=|>|<|)("[^"]*"|\S+)|"([^"]*)"|(\S+)')
COMPARED = {
    ">": lambda seen, value: seen > value,
    ">=": lambda seen, value: seen >= value,
    "<": lambda seen, value: seen < value,
    "<=": lambda seen, value: seen <= value,
}


def railway(stack, question, variables):
    """The data of an answer."""
    return chosen(query(stack), selection(question, variables))


def query(stack):
    """Everything that can be asked; what a question does not ask for is not looked at."""

    def of_this(field, name="environmentId"):
        if field.arguments.get(name, ENVIRONMENT["id"]) != ENVIRONMENT["id"]:
            raise Refused(200, "NOT_FOUND", "Environment not found")

    def environment(field):
        of_this(field, "id")
        return {**ENVIRONMENT, "serviceInstances": lambda _: connection([set_up(stack, it) for it in stack.services])}

    def service_instance(field):
        of_this(field)
        service = stack.service(field.arguments.get("serviceId"))
        if service is None:
            raise Refused(200, "NOT_FOUND", "ServiceInstance not found")
        return set_up(stack, service)

    def variables(field):
        of_this(field)
        return (stack.service(field.arguments.get("serviceId")) or {}).get("variables", {})

    def metrics(field):
        of_this(field)
        service = stack.service(field.arguments.get("serviceId"))
        return used(service, field.arguments.get("measurements") or []) if service else []

    return {
        "projectToken": lambda _: {"project": PROJECT, "environment": ENVIRONMENT},
        "project": lambda _: {**PROJECT, "environments": connection([ENVIRONMENT])},
        "environment": environment,
        "serviceInstance": service_instance,
        "variables": variables,
        "metrics": metrics,
        "httpLogs": lambda field: http_logs(stack, field.arguments),
        "deploymentLogs": lambda field: deployment_logs(stack, field.arguments),
    }


def connection(nodes):
    return {"edges": [{"node": node} for node in nodes], "pageInfo": {"hasNextPage": False, "endCursor": None}}


def set_up(stack, service):
    name = service["name"]
    running = processes(service.get("runs"))
    well, began = running is None or bool(running), stack.began(service)
    latest = {
        "id": f"deployment-{name}",
        "status": "SUCCESS" if well else "CRASHED",
        "createdAt": BORN if began is None else rfc3339(began),
        "instances": [{"id": f"instance-{name}", "status": "RUNNING" if well else "CRASHED"}],
    }
    return {
        "id": f"service-instance-{name}",
        "serviceId": f"service-{name}",
        "serviceName": name,
        "numReplicas": 1,
        "startCommand": service.get("start"),
        "source": {"image": service.get("image"), "repo": None},
        "preDeployCommand": service.get("before"),
        "healthcheckPath": service.get("health"),
        "healthcheckTimeout": 300,
        "restartPolicyType": "ON_FAILURE",
        "restartPolicyMaxRetries": 10,
        "sleepApplication": False,
        "cronSchedule": None,
        "domains": {"customDomains": [], "serviceDomains": []},
        "latestDeployment": latest,
        "activeDeployments": [latest] if well else [],
    }


# ---------------------------------------------------------------------------------------------------------- use


def used(service, measurements):
    """What a service's one instance uses now."""
    running = processes(service.get("runs")) or []
    values = {"CPU_LIMIT": float(os.cpu_count() or 1), "MEMORY_LIMIT_GB": MEMORY_LIMIT_GB}
    if running:
        values["CPU_USAGE"] = sum(map(processor, running))
        values["MEMORY_USAGE_GB"] = sum(map(memory, running)) / 1e9
    now = int(time.time())
    return [
        {
            "measurement": measurement,
            "tags": {"deploymentInstanceId": f"instance-{service['name']}"},
            "values": [{"ts": now, "value": round(values[measurement], 6)}] if measurement in values else [],
        }
        for measurement in measurements
    ]


# --------------------------------------------------------------------------------------------------------- logs


def http_logs(stack, arguments):
    """What the router noted for a deployment of the web service, the newest last: requests that the edge sent on."""
    service = stack.deployed(arguments.get("deploymentId"))
    if service is None or service["name"] != "web":
        return []
    begin, end = instant(arguments.get("beforeDate")), instant(arguments.get("afterDate"))
    begin = max(begin or 0, stack.began(service) or 0)
    fits, found = http_filter(arguments.get("filter") or ""), []
    for request in stack.requests():
        reached = request.get("to") == "shop_web" and request.get("origin")
        if reached and is_within(request["at"], begin, end):
            line = http_line(request, service)
            if fits(line):
                found.append(line)
    return found[-limit(arguments, "limit", "beforeLimit") :]


def http_line(request, service):
    waited = sum(float(part) for part in re.findall(r"\d+\.\d+", request["origin"]))
    return {
        "requestId": request.get("ray") or request.get("id", ""),
        "timestamp": rfc3339(request["at"]),
        "method": request["method"],
        "path": request["path"],
        "host": request.get("host", ""),
        "httpStatus": int(request.get("status", 0)),
        "totalDuration": math.ceil(float(request.get("seconds", 0)) * 1000),
        "upstreamRqDuration": math.ceil(waited * 1000),
        "rxBytes": min(int(request.get("length", 0)), 2**31 - 1),
        "txBytes": min(int(request.get("bytes", 0)), 2**31 - 1),
        "clientUa": request.get("agent", ""),
        "srcIp": request.get("ip", ""),
        "edgeRegion": "lab",
        "deploymentId": f"deployment-{service['name']}",
        "deploymentInstanceId": f"instance-{service['name']}",
    }


def http_filter(text):
    """Whether a line passes a filter: everything that it names must be so."""
    wanted = parts(text)

    def fits(line):
        for name, how, value in wanted:
            if name is None:
                if not any(value in str(seen) for seen in line.values()):
                    return False
                continue
            if name not in line:
                raise Refused(200, "BAD_USER_INPUT", f"Unknown attribute @{name}")
            seen = line[name]
            if isinstance(seen, int) or how:
                try:
                    seen, value = float(seen), float(value)
                except ValueError:
                    return False
            if not (COMPARED[how](seen, value) if how else seen == value):
                return False
        return True

    return fits


def deployment_logs(stack, arguments):
    """Lines that a service wrote itself, the newest last."""
    service = stack.deployed(arguments.get("deploymentId"))
    if service is None:
        return []
    wanted = parts(arguments.get("filter") or "")
    if unknown := next((name for name, how, _ in wanted if name not in (None, "level") or how), None):
        raise Refused(200, "BAD_USER_INPUT", f"Unknown attribute @{unknown}")
    begin, end = instant(arguments.get("startDate")), instant(arguments.get("endDate"))
    words = [value for name, _, value in wanted if name is None]
    levels = {value.lower() for name, _, value in wanted if name == "level"}
    found = []
    for line, changed in stack.lines(service.get("log")):
        if not line.strip() or not all(word in line for word in words):
            continue
        level = LEVELS.search(line[:120])
        severity = level.group().lower() if level else "info"
        at = moment(line) or changed
        if levels <= {severity} and is_within(at, begin, end):
            found.append({"timestamp": rfc3339(at), "severity": severity, "message": line[:LONGEST], "attributes": []})
    return found[-limit(arguments, "limit") :]


def parts(text):
    """A filter's parts, which all must hold: name (none: words to be found), comparison, value."""
    found = []
    for name, how, value, quoted, word in PART.findall(text):
        if name:
            found.append((name, how, value.strip('"')))
        elif word in ("OR", "NOT") or word.startswith(("-", "(")):
            raise Refused(200, "BAD_USER_INPUT", f"this stand-in does not know {word} in a filter")
        elif word != "AND":
            found.append((None, "", quoted or word))
    return found


def is_within(at, begin, end):
    return (begin is None or at >= begin) and (end is None or at <= end)


def limit(arguments, *names):
    wanted = next((arguments[name] for name in names if isinstance(arguments.get(name), int)), 100)
    return max(1, min(wanted, 5000))
