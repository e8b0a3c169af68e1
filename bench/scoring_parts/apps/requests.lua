-- Sends the bodies named after "--" in turn, and prints what came back in one line.
local requests, turn = {}, 0

function init(paths)
  for _, path in ipairs(paths) do
    local file = assert(io.open(path, "rb"))
    requests[#requests + 1] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, file:read("*a"))
    file:close()
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format("RESULT %d %d %d %d %d", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
