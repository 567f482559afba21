-- Requests are formatted once, so that wrk is not the limit. Arguments: file of tokens, one a line; file of a JSON body to POST.
local requests = {}
local next = 0
function init(args)
  local body
  if args[2] then
    local file = io.open(args[2], "rb")
    body = file:read("*a")
    file:close()
  end
  for token in io.lines(args[1]) do
    local headers = { ["Authorization"] = "Bearer " .. token }
    if body then
      headers["Content-Type"] = "application/json"
      requests[#requests + 1] = wrk.format("POST", "/orders", headers, body)
    else
      requests[#requests + 1] = wrk.format("GET", "/orders", headers)
    end
  end
end
function request()
  next = next % #requests + 1
  return requests[next]
end
