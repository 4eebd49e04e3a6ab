# Turns a field's type `string` into `bytes`: the same on the wire, but C sees the length.
s/(^|[^a-z_])string ([a-z_]+ = )/\1bytes \2/
s/map<string, string>/map<string, bytes>/
