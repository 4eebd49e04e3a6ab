# Turns a field's type `string` into `bytes`: the same on the wire, but C sees the length. Leaves baton's own options out, which
# protobuf-c knows nothing of.
s/(^|[^a-z_])string ([a-z_]+ = )/\1bytes \2/
s/map<string, string>/map<string, bytes>/
s/ \[\(field\) = \{[^}]*\}\]//
/^ *option \((field|method|service)\)/d
/^import "baton\/v1\/options.proto"/d
