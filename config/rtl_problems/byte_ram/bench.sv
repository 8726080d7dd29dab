module bench;
  logic        clk = 0;
  logic        enable;
  logic [3:0]  byte_write;
  logic [5:0]  address;
  logic [31:0] write_data, read_data;

  byte_ram dut (
    .clk(clk), .enable(enable), .byte_write(byte_write), .address(address), .write_data(write_data), .read_data(read_data)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [31:0] model[0:63];
  logic [31:0] want, mask;
  logic        known;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic is_enabled, input logic [3:0] bytes, input logic [5:0] where, input logic is_known);
    enable = is_enabled;
    byte_write = bytes;
    address = where;
    write_data = random();
    if (is_enabled) begin
      want = model[where];
      known = is_known;
      mask = {{8{bytes[3]}}, {8{bytes[2]}}, {8{bytes[1]}}, {8{bytes[0]}}};
      model[where] = (model[where] & ~mask) | (write_data & mask);
    end
    @(negedge clk);
    if (known) check("read_data", read_data, want);
  endtask

  initial begin
    {enable, byte_write, address, write_data} = '0;
    known = 0;
    @(negedge clk);
    for (int i = 0; i < 64; i++) cycle(1, 4'b1111, 6'(i), 0);
    for (int i = 0; i < 64; i++) cycle(1, 4'b0000, 6'(63 - i), 1);
    for (int i = 0; i < 16; i++) begin
      cycle(1, 4'(i), 6'd9, 1);
      cycle(0, 4'b1111, 6'd9, 1);
      cycle(1, 4'b0000, 6'd9, 1);
    end
    repeat (4000) cycle(random() % 4 != 0, 4'(random()), 6'(random() % 8), 1);
    for (int i = 0; i < 64; i++) cycle(1, 4'b0000, 6'(i), 1);
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
