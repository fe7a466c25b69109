-- Pause between requests where one is asked for, and p95, which wrk does not print by itself.
local think = tonumber(os.getenv("THINK"))
if think > 0 then
  function delay()
    return think * 1000
  end
end

function done(summary, latency)
  io.write(string.format("p95_us %d\n", latency:percentile(95)))
end
