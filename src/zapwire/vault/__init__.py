"""What keeps things sealed at rest: keys and where they come from, sealed SQLite files, sealed columns, bundles.

Stands alone below the store and the transport, and knows neither (docs/decisions/0005-the-vault.md).
"""
