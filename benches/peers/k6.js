// k6 as a user of it would write it: whole bodies are read off the wire and dropped.
import http from 'k6/http';
import { sleep } from 'k6';

const think = Number(__ENV.THINK);
export const options = {
  vus: Number(__ENV.USERS),
  duration: `${__ENV.SECONDS}s`,
  discardResponseBodies: true,
};

export default function () {
  if (think) sleep(__ITER === 0 ? think * Math.random() : think);
  http.get(__ENV.URL, { tags: { name: 'get' } });
}
