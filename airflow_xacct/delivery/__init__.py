"""How data lands in Account B: staged as open multipart uploads, completed together, the manifest last."""
