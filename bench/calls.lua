-- For wrk: repeats one call, each time with the next token and with new digits in its body.
-- The tokens are read from the standard input, one a line.

local method, body = os.getenv("METHOD"), os.getenv("BODY")
local status_expected = tonumber(os.getenv("STATUS"))
local is_keyed = os.getenv("KEYED") == "1"
local is_timed = os.getenv("TIMED") == "1"
local tokens, turn = {}, 0

function init()
    math.randomseed(tonumber(os.getenv("SEED")))
    for line in io.lines() do
        tokens[#tokens + 1] = "Bearer " .. line
    end
    wrk.headers["Content-Type"] = body and "application/json"
end

function request()
    turn = turn % #tokens + 1
    wrk.headers["Authorization"] = tokens[turn]
    if not body then
        return wrk.format(method)
    end
    local parts = {}
    for n = 1, 5 do
        parts[n] = string.format("%08x", math.random(0, 2 ^ 32 - 1))
    end
    local digits = table.concat(parts)
    if is_keyed then
        wrk.headers["Idempotency-Key"] = digits
    end
    return wrk.format(method, nil, nil, (body:gsub("DIGITS", digits)))
end

-- Written, not counted: a thread's tables cannot be read when all is done.
function response(status, _, text)
    if status ~= status_expected then
        io.write("wrong ", status, " ", text:gsub("%s+", " "), "\n")
    elseif is_timed then
        io.write("own ", text:match('"processing_time_ms": *([%d.]+)'), "\n")
    end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("done requests=%d us=%d p50=%d p99=%d errors=%d\n",
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.timeout))
end
