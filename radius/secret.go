package radius

import "github.com/dialway/dialway/internal/secret"

// Secret is a string that prints as REDACTED; string(s) is the secret.
type Secret = secret.String
