-- wrk's part of benchmarks/load.py: the same body in every request, the next signed receipt in each.
local receipts = {}
local turn = 0

function init(args)
  wrk.method = "POST"
  wrk.body = os.getenv("BENCH_BODY")
  wrk.headers["Content-Type"] = "application/json"
  local file = os.getenv("BENCH_RECEIPTS")
  if file then
    -- requests are laid out before the start: wrk does no string work while it measures
    for line in io.lines(file) do
      wrk.headers["Tap-Receipt"] = line
      receipts[#receipts + 1] = wrk.format()
    end
  else
    receipts[1] = wrk.format()
  end
end

function request()
  turn = turn % #receipts + 1
  return receipts[turn]
end
