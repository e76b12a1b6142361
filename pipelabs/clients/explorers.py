"""The public explorer of each chain, where everybody can look at a wallet."""

from typing import NamedTuple

from pipelabs.models.clients import Chain


class Explorer(NamedTuple):
    """A site that shows wallets; a wallet's address follows its URL."""

    name: str
    url: str


EXPLORERS = {
    Chain.EVM: Explorer("Etherscan", "https://etherscan.io/address/"),
    Chain.SOLANA: Explorer("Solscan", "https://solscan.io/account/"),
    Chain.BITCOIN: Explorer("mempool.space", "https://mempool.space/address/"),
    Chain.TRON: Explorer("Tronscan", "https://tronscan.org/#/address/"),
}
"""Chain → its explorer. The address of an EVM wallet is the same on all EVM networks."""
