module bench;
  logic       clk = 0;
  logic       rst, clear, valid;
  logic [7:0] data, crc;

  crc8 dut (.clk(clk), .rst(rst), .clear(clear), .valid(valid), .data(data), .crc(crc));

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  // remainder of a polynomial division, 16 bits by 9
  function automatic int next(input int old, input int value);
    int r;
    r = (old ^ value) * 256;
    for (int i = 15; i >= 8; i--) if ((r >> i) % 2 == 1) r = r ^ (263 << (i - 8));
    return r;
  endfunction

  task automatic cycle;
    if (rst) want = 0;
    else begin
      if (clear) want = 0;
      if (valid) want = next(want, int'(data));
    end
    @(negedge clk);
    check("crc", crc, want);
  endtask

  initial begin
    {clear, valid, data} = '0;
    want = 0;
    rst = 1;
    @(negedge clk);
    cycle();
    rst = 0;
    valid = 1;
    data = 8'h01;
    cycle();
    check("crc of 01", crc, 8'h07);
    for (int i = 1; i <= 9; i++) begin
      clear = i == 1;
      data = 8'(48 + i);
      cycle();
    end
    check("crc of 123456789", crc, 8'hf4);
    valid = 0;
    cycle();
    clear = 1;
    cycle();
    repeat (3000) begin
      rst = random() % 64 == 0;
      clear = random() % 8 == 0;
      valid = random() % 4 != 0;
      data = 8'(random());
      cycle();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
