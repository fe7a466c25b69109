// Written by rampup from rampup.toml. Run it with: k6 run THIS_FILE
// From the environment: BASE_URL, USERS, CLIMB (30s), HOLD (60s), and the test users' passwords by their names.
import http from 'k6/http';
import exec from 'k6/execution';
import { check, sleep } from 'k6';
import { SharedArray } from 'k6/data';
import { Rate } from 'k6/metrics';

// ---- how the words of a flow are spoken in k6 ----

const stepFailed = new Rate('step_failed');

function ladder(promise) {
  return {
    scenarios: {
      ladder: {
        executor: 'ramping-vus',
        startVUs: 0,
        stages: [
          { duration: __ENV.CLIMB || '30s', target: USERS },
          { duration: __ENV.HOLD || '60s', target: USERS },
        ],
        gracefulStop: '10s',
      },
    },
    thresholds: {
      'http_req_duration{kind:step}': [`p(95)<${promise.p95}`],
      step_failed: [`rate<${promise.errors}`],
    },
    noCookiesReset: true, // a user keeps its session from pass to pass
    maxRedirects: 0,
  };
}

function think(least, most) {
  sleep(least + Math.random() * (most - least));
}

function thinkLognormal(median, spread) {
  const gauss = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  sleep(median * Math.exp(spread * gauss));
}

// Each VU is one user with a flow of its own, dealt smoothly by weight: no flow waits until another is full.
let me = null;

function newUser(flows) {
  const number = exec.vu.idInTest - 1;
  const total = flows.reduce((sum, flow) => sum + flow.weight, 0);
  const credit = flows.map(() => 0);
  let chosen = 0;
  for (let i = 0; i <= number % total; i++) {
    flows.forEach((flow, f) => { credit[f] += flow.weight; });
    chosen = credit.indexOf(Math.max(...credit));
    credit[chosen] -= total;
  }
  return { number, flow: flows[chosen], kept: {}, rows: {}, in: false };
}

function onePass(flows) {
  if (me === null) me = newUser(flows);
  for (const [name, feeder] of Object.entries(FEEDERS)) me.rows[name] = feeder(me);
  if (me.flow.login && !me.in) {
    me.in = login(me, me.flow.login);
    if (!me.in) return sleep(1);
  }
  me.flow.play(me);
}

// Rows for users; `rows` is shared by all VUs.
function feeder(name, what) {
  if (what.range) {
    const count = what.range[1] - what.range[0] + 1;
    return (user) => deal(name, what, count, user, (i) => String(what.range[0] + i));
  }
  const rows = new SharedArray(name, () => (what.csv ? readCsv(open(what.csv)) : readLines(open(what.jsonl))));
  return (user) => deal(name, what, rows.length, user, (i) => rows[i]);
}

function deal(name, what, count, user, row) {
  const i = what.deal === 'per-user' ? user.number : exec.scenario.iterationInTest;
  if (i >= count && what.end === 'stop') exec.test.abort(`the feeder ${name} has run dry`);
  return row(i % count);
}

function readLines(text) {
  return text.split('\n').filter((line) => line.trim() !== '').map((line) => JSON.parse(line));
}

function readCsv(text) {
  const rows = [];
  let row = [];
  let field = '';
  let quoted = false;
  const endField = () => { row.push(field); field = ''; };
  const endRow = () => { endField(); if (row.length > 1 || row[0] !== '') rows.push(row); row = []; };
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted && c === '"' && text[i + 1] === '"') { field += '"'; i++; }
    else if (c === '"') quoted = !quoted;
    else if (!quoted && c === ',') endField();
    else if (!quoted && c === '\n') endRow();
    else if (quoted || c !== '\r') field += c;
  }
  if (field !== '' || row.length > 0) endRow();
  const columns = rows.shift();
  return rows.map((values) => Object.fromEntries(columns.map((column, i) => [column, values[i]])));
}

// {{user}}, {{user.ip}}, {{random A B}}, {{FEEDER}}, {{FEEDER.COLUMN}}, {{EXTRACT}}
function fill(user, text, escape) {
  return text.replace(/\{\{\s*(.*?)\s*\}\}/g, (_, name) => {
    const value = String(hole(user, name));
    return escape ? escape(value) : value;
  });
}

function hole(user, name) {
  if (name === 'user') return user.number;
  if (name === 'user.ip') {
    const high = Math.floor(user.number / 254);
    return `10.${Math.floor(high / 256) % 256}.${high % 256}.${(user.number % 254) + 1}`;
  }
  const range = name.match(/^random\s+(\d+)\s+(\d+)$/);
  if (range) return Number(range[1]) + Math.floor(Math.random() * (Number(range[2]) - Number(range[1]) + 1));
  const [feeder, column] = name.split('.');
  const row = user.rows[feeder];
  const value = row === undefined ? user.kept[name] : column === undefined ? row : row[column];
  if (value === undefined) throw new Error(`nothing was extracted for {{${name}}}`);
  return value;
}

const fillAll = (user, texts) => Object.fromEntries(Object.entries(texts || {}).map(([k, v]) => [k, fill(user, v)]));
const fillForm = (user, form) => Object.fromEntries(Object.entries(form || {}).map((pair) => pair.map((text) => fill(user, text))));
const inJson = (value) => JSON.stringify(value).slice(1, -1);

function cookie(url, name) {
  const values = http.cookieJar().cookiesForURL(url)[name];
  return values === undefined ? undefined : values[0];
}

function address(user, path, query) {
  const filled = fill(user, path);
  const url = /^https?:\/\//.test(filled) ? filled : SITE + (filled.startsWith('/') ? filled : `/${filled}`);
  if (url !== SITE && !url.startsWith(`${SITE}/`)) throw new Error(`${url} is not the target; users do not go there`);
  const pairs = Object.entries(fillAll(user, query)).map((pair) => pair.map(encodeURIComponent).join('='));
  return pairs.length === 0 ? url : url + (url.includes('?') ? '&' : '?') + pairs.join('&');
}

function fail(name, why) {
  check(null, { [name]: () => false });
  stepFailed.add(true, { endpoint: name });
  if (__ENV.SAY_WHY) console.warn(`${name}: ${why}`);
  return false;
}

// One request of a user: true when everything came back as expected.
function step(user, name, method, path, options = {}) {
  let res;
  let body = null;
  try {
    let url;
    const headers = { ...fillAll(user, HEADERS), ...fillAll(user, options.headers) };
    if (options.presigned) {
      const ticket = JSON.parse(hole(user, options.presigned));
      url = ticket.url;
      for (const own of Object.keys(headers)) delete headers[own]; // they are the site's, not the bucket's
      body = { ...ticket.fields };
    } else {
      url = address(user, path, options.query);
      if (options.form || options.upload) body = fillForm(user, options.form);
    }
    if (options.csrf) {
      const token = cookie(url, 'csrftoken');
      headers.Referer = url;
      if (token !== undefined) {
        headers['X-CSRFToken'] = token;
        if (body !== null) body.csrfmiddlewaretoken = body.csrfmiddlewaretoken || token;
      }
    }
    if (options.upload) {
      const content = 'x'.repeat(options.upload.bytes);
      body[options.presigned ? 'file' : options.upload.field] = http.file(content, 'upload', options.upload.content_type);
    }
    if (options.json) {
      headers['Content-Type'] = 'application/json';
      body = fill(user, options.json, inJson);
    }
    const right = options.expect ? http.expectedStatuses(...options.expect) : http.expectedStatuses({ min: 200, max: 399 });
    res = http.request(method, url, body, { headers, redirects: 0, responseCallback: right, tags: { name, kind: 'step' } });
    const wrong = judge(user, res, options);
    if (wrong) return fail(name, wrong);
    for (const [key, what] of Object.entries(options.extract || {})) {
      user.kept[key] = extract(res, what);
      if (user.kept[key] === undefined) return fail(name, `${key} was not found in the answer`);
    }
  } catch (why) {
    return fail(name, why);
  }
  check(res, { [name]: () => true });
  stepFailed.add(false, { endpoint: name });
  return true;
}

function judge(user, res, options) {
  const statuses = options.expect || [];
  const right = statuses.length > 0 ? statuses.includes(res.status) : res.status >= 200 && res.status < 400;
  if (!right) return `status ${res.status} ${res.error}`;
  if (options.expect_text && !String(res.body).includes(fill(user, options.expect_text))) return 'the text is missing';
  for (const [header, text] of Object.entries(options.expect_header || {})) {
    const value = headerOf(res, header);
    if (value === undefined || !value.toLowerCase().includes(text.toLowerCase())) return `the header ${header} is wrong`;
  }
  if (options.expect_select && res.html().find(options.expect_select).size() === 0) return 'nothing matches the selector';
  for (const [pointer, value] of Object.entries(options.expect_json || {})) {
    if (JSON.stringify(at(res, pointer)) !== JSON.stringify(value)) return `${pointer} is wrong`;
  }
  return null;
}

function headerOf(res, name) {
  const found = Object.entries(res.headers).find(([key]) => key.toLowerCase() === name.toLowerCase());
  return found === undefined ? undefined : found[1];
}

// A JSON pointer (RFC 6901).
function at(res, pointer) {
  const parts = pointer.split('/').slice(1).map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'));
  return parts.reduce((value, part) => (value === undefined || value === null ? undefined : value[part]), res.json());
}

function extract(res, what) {
  if (what.css) {
    const found = res.html().find(what.css.select);
    const chosen = found.eq(Math.floor(Math.random() * Math.min(found.size(), 100)));
    if (found.size() === 0) return undefined;
    return what.css.attribute ? chosen.attr(what.css.attribute) : chosen.text().trim();
  }
  if (what.json !== undefined) {
    const value = at(res, what.json);
    if (value === null || value === undefined) return undefined;
    return typeof value === 'string' ? value : JSON.stringify(value);
  }
  if (what.header) return headerOf(res, what.header);
  if (what.cookie) return cookie(res.request.url, what.cookie);
  const found = String(res.body).match(new RegExp(what.regex));
  return found === null ? undefined : found[1] === undefined ? found[0] : found[1];
}

// Django's login form: the page, its hidden token, then name and password with cookie and Referer.
function login(user, form) {
  const token = { csrf: { css: { select: "input[name='csrfmiddlewaretoken']", attribute: 'value' } } };
  if (!step(user, `${form.path} (form)`, 'GET', form.path, { extract: token })) return false;
  const password = __ENV[form.password_env];
  if (password === undefined) exec.test.abort(`the variable ${form.password_env} is not set`);
  user.kept['login password'] = password;
  const fields = { username: form.username, password: '{{login password}}', csrfmiddlewaretoken: '{{csrf}}' };
  const right = step(user, `${form.path} (login)`, 'POST', form.path, { form: fields, csrf: true, expect: [302] });
  delete user.kept['login password'];
  return right;
}

