bob@example.com: dave@example.org,eve@example.org
fail@example.com: :fail: No Such User Here
q@example.com: "|/bin/true"
