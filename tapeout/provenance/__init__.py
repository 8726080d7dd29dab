"""What an auditor takes away, and what is made of it elsewhere: exports, signatures, reproduction."""
