// Sends receipts that were signed ahead by `workbench requests`, each once.
// They are good for a limited time: @SENTENCE@.
import http from 'k6/http';
import exec from 'k6/execution';
import { check, sleep } from 'k6';
import { SharedArray } from 'k6/data';

const REQUEST = @REQUEST@;
const START_MS = @START_MS@; // when the first receipt is due, by the clock
const BEGIN_BEFORE_MS = @BEGIN_BEFORE_MS@;

// one copy for all virtual users
const receipts = new SharedArray('receipts', () => open(@DATA@).trim().split('\n'));

export const options = @OPTIONS@;

export function setup() {
  if (Date.now() > BEGIN_BEFORE_MS) {
    exec.test.abort('these receipts are too old, write them anew with `workbench requests`');
  }
  sleep(Math.max(0, START_MS - Date.now()) / 1000);
}

// HTTP 200 is no proof: what went wrong behind the service is in the body
function accepted(response) {
  if (response.status !== 200) return false;
  try {
    const answer = JSON.parse(response.json('graphQLResponse'));
    return answer.data !== undefined && !(answer.errors && answer.errors.length);
  } catch (error) {
    return false;
  }
}

export default function () {
  const turn = exec.scenario.iterationInTest; // over all virtual users and instances
  if (turn >= receipts.length) return;
  const headers = Object.assign({ [@HEADER@]: receipts[turn] }, REQUEST.headers);
  const response = http.post(REQUEST.url, REQUEST.body, { headers: headers, timeout: REQUEST.timeout });
  check(response, { 'receipt accepted': accepted });
}
