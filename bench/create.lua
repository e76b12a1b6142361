-- For wrk: each request creates a new client, and each answer must be 201.

local is_keyed = os.getenv("KEYED") == "1"
local is_timed = os.getenv("TIMED") == "1"
local body = '{"name": "Client Name", "wallet_address": "0x%s", "email": "%s@example.com", '
    .. '"tier": "Premium", "notes": "High volume trader"}'

function init()
    math.randomseed(tonumber(os.getenv("SEED")))
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
end

function request()
    local parts = {}
    for n = 1, 5 do
        parts[n] = string.format("%08x", math.random(0, 2 ^ 32 - 1))
    end
    local digits = table.concat(parts)
    if is_keyed then
        wrk.headers["Idempotency-Key"] = digits
    end
    return wrk.format("POST", nil, nil, string.format(body, digits, digits))
end

-- Written, not counted: a thread's tables cannot be read when all is done.
function response(status, _, text)
    if status ~= 201 then
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
