"""
Cloudflare's API for the practice stack: the zone as the edge's configuration has it, and what its cache did.
"""

import re
from collections import Counter

from clouds_graphql import Refused, chosen, invalid, selection
from clouds_stack import BORN, instant

ID = "0123456789abcdef0123456789abcdef"
ZONE = "shop.example"
LIMITS = {"enabled": True, "maxDuration": 86400, "notOlderThan": 2678400}
# Where there is no stack to count on: a cache that answers nine of ten requests that it could answer.
SAMPLE = (("hit", 9000), ("miss", 1000), ("dynamic", 5000))
# Seconds over which Cloudflare counts requests, on its smallest plan.
PERIOD = 10


def setting(name, value):
    return {"id": name, "value": value, "modified_on": BORN, "editable": True}


def zone():
    return {
        "id": ID,
        "name": ZONE,
        "status": "active",
        "paused": False,
        "development_mode": 0,
        "meta": {},
        "account": {"id": ID, "name": "practice"},
        "owner": {},
        "name_servers": [],
        "original_name_servers": None,
        "original_registrar": None,
        "original_dnshost": None,
        "created_on": BORN,
        "modified_on": BORN,
        "activated_on": BORN,
    }


def cloudflare(stack, path, query):
    """The result of an answer."""
    in_zone = f"zones/{ID}/"
    if path == "user/tokens/verify":
        return {"id": ID, "status": "active"}
    if path == "zones":
        return [zone()] if query.get("name", [ZONE]) == [ZONE] else []
    if path.endswith("/request-tracer/trace"):
        raise Refused(403, 10000, "Authentication error")
    rest = path[len(in_zone) :] if path.startswith(in_zone) else ""
    if phase := re.fullmatch(r"rulesets/phases/(\w+)/entrypoint", rest):
        return ruleset(stack, phase.group(1))
    if rest in ("pagerules", "workers/routes"):
        return []
    if rest == "argo/tiered_caching":
        return setting("tiered_caching", stack.tiered_cache)
    if rest == "cache/tiered_cache_smart_topology_enable":
        # It does not work for an origin that is everywhere, as Railway's is.
        return setting("tiered_cache_smart_topology_enable", "off")
    settings = {"ssl": stack.ssl, "cache_level": "aggressive"}
    name = rest.removeprefix("settings/")
    if name != rest and name in settings:
        return setting(name, settings[name])
    raise Refused(404, 7003, "Could not route to this path, perhaps your object identifier is invalid?")


# -------------------------------------------------------------------------------------------------------- rules


def ruleset(stack, phase):
    """What the edge's configuration does, in rules of Cloudflare's."""
    makers = {
        "http_request_cache_settings": cache_rules,
        "http_ratelimit": rate_limits,
        "http_request_firewall_custom": firewall_rules,
    }
    rules = makers.get(phase, lambda *_: [])(stack.edge, stack.nginx)
    if not rules:
        raise Refused(404, 10003, f'could not find entrypoint ruleset in the "{phase}" phase')
    return {
        "id": ID,
        "name": "default",
        "kind": "zone",
        "phase": phase,
        "version": "1",
        "last_updated": BORN,
        "rules": [
            {
                "id": f"{number:032x}",
                "ref": f"{number:032x}",
                "version": "1",
                "last_updated": BORN,
                "enabled": True,
                **rule,
            }
            for number, rule in enumerate(rules, 1)
        ],
    }


def cache_rules(mode, nginx):
    """Of several rules that fit a request, the last one decides."""
    kept = set(re.findall(rf'"{mode} (\w+)" edge;', nginx))
    private = [kind for kind in ("account", "private") if kind not in kept]
    if mode == "proxied" and "account" in kept:
        seconds = re.search(r"location ~ \^/\(account\|[^{]*\{\s*proxy_cache_valid 200 (\d+)s;", nginx)
        lifetime = int(seconds.group(1)) if seconds else 10
        overruled = {"mode": "override_origin", "default": lifetime, "status_code_ttl": []}
        settings = {"cache": True, "edge_ttl": overruled}
        return [cache_rule("people poll there", expression(nginx, ["account"]), settings)]
    if mode != "rules" or "page" not in kept:
        return []
    rules = [cache_rule("pages, as long as the shop says", f'(http.host eq "{ZONE}")', {"cache": True})]
    if private:
        rules.append(cache_rule("private paths", expression(nginx, private), {"cache": False}))
    if re.search(r"proxy_cache_bypass \$personal;", nginx):
        known = '(http.cookie contains "sessionid=") or (len(http.request.headers["authorization"]) > 0)'
        rules.append(cache_rule("whoever is logged in", known, {"cache": False}))
    return rules


def cache_rule(description, fits, settings):
    parameters = {"action": "set_cache_settings", "action_parameters": settings}
    return {"description": description, "expression": fits, **parameters}


def expression(nginx, kinds):
    """Which paths are of these kinds, by the map that begins with `map $uri $kind`."""
    table = nginx.partition("map $uri $kind {")[2].partition("}")[0]
    patterns = [pattern for pattern, kind in re.findall(r'"~\*?(\^[^"]+)" (\w+);', table) if kind in kinds]
    return " or ".join(map(in_rules_language, patterns))


def in_rules_language(pattern):
    """A pattern of nginx's as Cloudflare writes it."""
    if re.fullmatch(r"\^/[\w/-]*", pattern):
        return f'(starts_with(http.request.uri.path, "{pattern[1:]}"))'
    return f'(http.request.uri.path matches r"{pattern}")'


def rate_limits(mode, nginx):
    """The limit per client in nginx's terms, a rate, as one over ten seconds."""
    limited = re.search(r'map "\$mode \$uri" \$counted \{[^}]*"rules (/[^" ]*)" ', nginx)
    rate = re.search(r"zone=search:\S+ rate=(\d+)r/s", nginx)
    if mode != "rules" or not limited or not rate:
        return []
    counts = {
        "characteristics": ["cf.colo.id", "ip.src"],
        "period": PERIOD,
        "requests_per_period": int(rate.group(1)) * PERIOD,
        "mitigation_timeout": PERIOD,
    }
    return [
        {
            "description": "searches of one client",
            "expression": f'(http.request.uri.path eq "{limited.group(1)}")',
            "action": "log" if "limit_req_dry_run on;" in nginx else "block",
            "ratelimit": counts,
        }
    ]


def firewall_rules(mode, nginx):
    refused = re.search(r'\$refused \{[^}]*"~\*\^(\w+) /\(([^()]*)\)', nginx)
    if mode != "rules" or not refused:
        return []
    paths = refused.group(2).replace("\\", "").split("|")
    # This comparison, like nginx's, takes capitals and small letters for the same.
    fits = " or ".join(f'(http.request.uri.path wildcard "/{path}*")' for path in paths)
    enabled = refused.group(1) == "rules"
    return [{"description": "probing paths", "expression": fits, "action": "block", "enabled": enabled}]


# ------------------------------------------------------------------------------------------------------ figures


def figures(stack, question, variables):
    """Analytics: what the edge's access log says of its cache."""
    zone_of = {
        "settings": {"httpRequestsAdaptiveGroups": LIMITS},
        "httpRequestsAdaptiveGroups": lambda field: groups(stack, field),
    }
    return chosen({"viewer": {"zones": [zone_of]}}, selection(question, variables))


def groups(stack, field):
    """Requests that fit the filter, counted by the dimensions that are asked for."""
    names = [inner.name for asked in field.fields or [] if asked.name == "dimensions" for inner in asked.fields or []]
    if unknown := set(names) - DIMENSIONS:
        raise invalid(f"unknown field {min(unknown)}")
    wanted, counted = field.arguments.get("filter") or {}, Counter()
    try:
        for seen, count in seen_requests(stack):
            if fits(seen, wanted):
                counted[tuple(seen.get(name) for name in names)] += count
    except (TypeError, AttributeError):
        raise invalid("error parsing args") from None
    return [
        {"count": count, "avg": {"sampleInterval": 1}, "dimensions": dict(zip(names, values))}
        for values, count in counted.most_common(field.arguments.get("limit") or 100)
    ]


# The site has one host and visitors alone ask for it, so those two are never looked at.
DIMENSIONS = {
    "cacheStatus",
    "clientRequestHTTPHost",
    "clientRequestHTTPMethodName",
    "clientRequestPath",
    "datetime",
    "edgeResponseStatus",
    "requestSource",
}


def seen_requests(stack):
    """What the edge saw, as far as it played Cloudflare then: what only passes its DNS has no ray."""
    if stack.logs is None:
        yield from (({"cacheStatus": status}, count) for status, count in SAMPLE)
        return
    for request in filter(lambda request: request.get("ray"), stack.requests()):
        seen = {
            "cacheStatus": (request.get("cache") or "none").lower(),
            "clientRequestHTTPMethodName": request["method"],
            "clientRequestPath": request["path"],
            "datetime": request["time"],
            "edgeResponseStatus": request.get("status"),
        }
        yield seen, 1


def fits(seen, wanted):
    """Whether a request passes a filter of Cloudflare's analytics: `name`, `name_geq`, `name_like`, AND, OR."""
    for key, value in wanted.items():
        if key in ("AND", "OR"):
            if not (all if key == "AND" else any)(fits(seen, part) for part in value):
                return False
            continue
        name, _, how = key.partition("_")
        if name not in DIMENSIONS or how not in COMPARED:
            raise invalid(f"unknown arg {key}")
        if name in seen:
            both = (seen[name], value)
            if not COMPARED[how](*(map(instant, both) if name == "datetime" else both)):
                return False
    return True


def is_like(seen, pattern):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("%"))), seen) is not None


COMPARED = {
    "": lambda seen, value: seen == value,
    "neq": lambda seen, value: seen != value,
    "gt": lambda seen, value: seen > value,
    "geq": lambda seen, value: seen >= value,
    "lt": lambda seen, value: seen < value,
    "leq": lambda seen, value: seen <= value,
    "in": lambda seen, value: seen in value,
    "notin": lambda seen, value: seen not in value,
    "like": is_like,
    "notlike": lambda seen, value: not is_like(seen, value),
}
