"""What each exchange answers about a key, in its documented form.

The pages are those that `pipelabs/vault/probe/rules.py` names; their examples are the model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.stub_exchange.accounts import Scenario

EXPIRES_AT = datetime(2031, 5, 15, 3, 21, 5, tzinfo=UTC)
ADDRESS = "127.0.0.1"
CREATED_MS = 1_728_443_843_000


@dataclass(frozen=True)
class Grant:
    """The permissions of a scenario's key; all may read."""

    api_key: str
    trades: bool = False
    moves: bool = False
    withdraws: bool = False
    is_ip_bound: bool = False
    expires: bool = False


def grant(api_key: str, scenario: Scenario) -> Grant:
    """Return a key's permissions. Keys that withdraw are bound to addresses, as on Binance."""
    match scenario:
        case Scenario.READ_ONLY:
            return Grant(api_key)
        case Scenario.WITHDRAW:
            return Grant(api_key, trades=True, moves=True, withdraws=True, is_ip_bound=True)
        case Scenario.IP_BOUND:
            return Grant(api_key, trades=True, is_ip_bound=True)
        case Scenario.EXPIRING:
            return Grant(api_key, trades=True, expires=True)
        case _:
            return Grant(api_key, trades=True)


def _binance(key: Grant) -> object:
    answer = {
        "ipRestrict": key.is_ip_bound,
        "createTime": CREATED_MS,
        "enableReading": True,
        "enableWithdrawals": key.withdraws,
        "enableInternalTransfer": key.moves,
        "enableMargin": False,
        "enableFutures": key.trades,
        "permitsUniversalTransfer": key.moves,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": True,
        "enableSpotAndMarginTrading": key.trades,
        "enablePortfolioMarginTrading": False,
    }
    expiry = {"tradingAuthorityExpirationTime": int(EXPIRES_AT.timestamp() * 1000)}
    return answer | (expiry if key.expires else {})


def _bybit(key: Grant) -> object:
    moves = ["AccountTransfer", "SubMemberTransfer"] if key.moves else []
    result = {
        "id": "13770661",
        "note": "stub",
        "apiKey": key.api_key,
        "readOnly": 0 if key.trades else 1,
        "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"] if key.trades else [],
            "Spot": ["SpotTrade"] if key.trades else [],
            "Wallet": moves + (["Withdraw"] if key.withdraws else []),
            "Options": [],
            "Derivatives": ["DerivativesTrade"],
            "Exchange": [],
            "Earn": [],
        },
        "ips": [ADDRESS] if key.is_ip_bound else ["*"],
        "type": 1,
        "deadlineDay": 83 if key.expires else -2,
        "expiredAt": f"{EXPIRES_AT:%Y-%m-%dT%H:%M:%SZ}" if key.expires else "1970-01-01T00:00:00Z",
        "createdAt": "2024-10-09T03:17:23Z",
        "uta": 1,
        "userID": 24617703,
    }
    return {"retCode": 0, "retMsg": "", "result": result, "retExtInfo": {}, "time": CREATED_MS}


def _okx(key: Grant) -> object:
    perm = ["read_only", *["withdraw"] * key.withdraws, *["trade"] * key.trades]
    config = {
        "acctLv": "2",
        "uid": "44705892343619584",
        "label": "stub",
        "ip": ADDRESS if key.is_ip_bound else "",
        "perm": ",".join(perm),
        "posMode": "net_mode",
        "type": "0",
    }
    return {"code": "0", "data": [config], "msg": ""}


def _kucoin(key: Grant) -> object:
    names = ["General", *["Futures", "Spot", "Margin"] * key.trades]
    names += ["FlexTransfers"] * key.moves + ["Withdrawal"] * key.withdraws
    data = {
        "remark": "stub",
        "apiKey": key.api_key,
        "apiVersion": 3,
        "permission": ",".join(names),
        "createdAt": CREATED_MS,
        "uid": 165111215,
        "isMaster": True,
    }
    # KuCoin leaves the field out where there is no list.
    return {"code": "200000", "data": data | ({"ipWhitelist": ADDRESS} if key.is_ip_bound else {})}


def _coinbase(key: Grant) -> object:
    return {
        "can_view": True,
        "can_trade": key.trades,
        "can_transfer": key.withdraws,
        "can_receive": False,
        "portfolio_uuid": "1f2e3d4c-0000-4000-8000-000000000001",
        "portfolio_type": "DEFAULT",
    }


def _gate(key: Grant) -> object:
    names = ["account", "spot", "futures", "wallet"]
    writable = {"spot": key.trades, "futures": key.trades, "wallet": key.moves}
    ours = {
        "state": 1,
        "mode": 1,
        "name": "stub",
        "user_id": 1,
        "perms": [{"name": name, "read_only": not writable.get(name, False)} for name in names],
        "ip_whitelist": [ADDRESS] if key.is_ip_bound else [],
        "currency_pairs": [],
        "key": f"{key.api_key[:12]}*****",
        "created_at": CREATED_MS // 1000,
        "update_at": CREATED_MS // 1000,
        "last_access": CREATED_MS // 1000,
    }
    perms = [{"name": "wallet", "read_only": False}]
    return [ours | {"name": "other", "key": "52fd0035f665*****", "perms": perms}, ours]


def _mexc(_: Grant) -> object:
    return {
        "canTrade": True,
        # of the account, so the same whatever this key may do
        "canWithdraw": True,
        "canDeposit": True,
        "updateTime": None,
        "accountType": "SPOT",
        "balances": [{"asset": "USDT", "free": "12", "locked": "0"}],
        "permissions": ["SPOT"],
    }


def _bitget(key: Grant) -> object:
    names = ["stow", "smow", "coow", "cpow"] if key.trades else ["stor", "smor", "coor", "cpor"]
    names += ["wtow" if key.moves else "wtor"] + ["wwow"] * key.withdraws
    data = {
        "userId": "714229403",
        "inviterId": "1",
        "ips": ADDRESS if key.is_ip_bound else "",
        "authorities": names,
        "parentId": 1,
        "traderType": "not_trader",
        "channelCode": "",
        "channel": "",
        "regisTime": str(CREATED_MS),
    }
    return {"code": "00000", "msg": "success", "requestTime": CREATED_MS, "data": data}


def bitget_unified(key: Grant) -> dict[str, Any]:
    """Return the answer about a key of a unified account."""
    data: dict[str, Any] = {
        "userId": "714229403",
        "inviterId": "1",
        "parentId": "",
        "channelCode": "",
        "channel": "",
        "ips": ADDRESS if key.is_ip_bound else "",
        "permType": "read-and-write" if key.trades else "read-only",
        "permissions": ["uta_mgt", "uta_trade", *["withdraw"] * key.withdraws],
        "regisTime": str(CREATED_MS),
    }
    return {"code": "00000", "msg": "success", "requestTime": CREATED_MS, "data": data}


def _kraken(_: Grant) -> object:
    return {"error": [], "result": {"ZUSD": {"balance": "25435.21", "hold_trade": "8249.76"}}}


ANSWERS: dict[str, tuple[str, Callable[[Grant], object]]] = {
    "binance": ("GET /sapi/v1/account/apiRestrictions", _binance),
    "bybit": ("GET /v5/user/query-api", _bybit),
    "okx": ("GET /api/v5/account/config", _okx),
    "kucoin": ("GET /api/v1/user/api-key", _kucoin),
    "coinbase": ("GET /api/v3/brokerage/key_permissions", _coinbase),
    "gate": ("GET /api/v4/account/main_keys", _gate),
    "mexc": ("GET /api/v3/account", _mexc),
    "bitget": ("GET /api/v2/spot/account/info", _bitget),
    "kraken": ("POST /0/private/BalanceEx", _kraken),
}
"""The path that is asked at each exchange, and the function that answers."""
UNIFIED: dict[str, tuple[str, Callable[[Grant], object]]] = {
    "bitget": ("GET /api/v3/account/info", bitget_unified),
}
"""The same for unified accounts."""
