-- Requests are formatted once, so that wrk is not the limit. Argument: file of tokens, one a line.
local requests = {}
local next = 0
function init(args)
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", "/orders", { ["Authorization"] = "Bearer " .. token })
  end
end
function request()
  next = next % #requests + 1
  return requests[next]
end
