"""Who assumed the role, when, for which task, and what landed: CloudTrail joined with the deliveries' manifests."""
