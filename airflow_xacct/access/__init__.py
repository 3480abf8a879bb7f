"""How we get in: the assumed role, its session and clients, what every call carries, and what a refusal means."""
