module bench;
  logic [12:0] code;
  logic [7:0]  data;
  logic        corrected, uncorrectable;

  secded_decode dut (.code(code), .data(data), .corrected(corrected), .uncorrectable(uncorrectable));

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [12:0] word, broken;
  logic [7:0]  value;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  function automatic logic [12:0] encode(input logic [7:0] d);
    logic [12:0] c;
    c = {d[7:4], 1'b0, d[3:1], 1'b0, d[0], 3'b000};
    c[1] = c[3] ^ c[5] ^ c[7] ^ c[9] ^ c[11];
    c[2] = c[3] ^ c[6] ^ c[7] ^ c[10] ^ c[11];
    c[4] = c[5] ^ c[6] ^ c[7] ^ c[12];
    c[8] = c[9] ^ c[10] ^ c[11] ^ c[12];
    c[0] = ^c[12:1];
    return c;
  endfunction

  function automatic logic [7:0] plain(input logic [12:0] c);
    return {c[12:9], c[7:5], c[3]};
  endfunction

  initial begin
    for (int v = 0; v < 256; v++) begin
      value = v[7:0];
      word = encode(value);
      code = word;
      #1;
      check("data", data, value);
      check("flags without error", {corrected, uncorrectable}, 2'b00);
      for (int i = 0; i < 13; i++) begin
        code = word ^ (13'd1 << i);
        #1;
        check("data after one error", data, value);
        check("flags after one error", {corrected, uncorrectable}, 2'b10);
        for (int j = 0; j < i; j++) begin
          broken = word ^ (13'd1 << i) ^ (13'd1 << j);
          code = broken;
          #1;
          check("data after two errors", data, plain(broken));
          check("flags after two errors", {corrected, uncorrectable}, 2'b01);
        end
      end
      // three errors whose numbers give a syndrome of 13, 14 and 15
      for (int i = 1; i <= 3; i++) begin
        broken = word ^ (13'd1 << 12) ^ (13'd1 << i) ^ 13'd1;
        code = broken ^ 13'd0;
        #1;
        check("flags, syndrome above 12", {corrected, uncorrectable}, 2'b01);
        check("data, syndrome above 12", data, plain(broken));
      end
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
